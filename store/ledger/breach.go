package ledger

// A breach is a rule that a test breaks, to see that this is noticed. Nothing else sets one.
type breach uint8

const (
	neverLapsed  breach = 1 << iota // a pack that is dead may be registered
	leaveEarly                      // a dead name may leave the state while its session can still register
	trustAuthor                     // signatures are not verified
	trustPayload                    // a checkpoint's state is not compared
)

func (s *State) breaks(b breach) bool { return s.broken&b != 0 }
