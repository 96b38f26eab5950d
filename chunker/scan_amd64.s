#include "textflag.h"

// The words that end at eight neighbouring positions, taken from 15 bytes.
DATA words<>+0(SB)/8, $0x0706050403020100
DATA words<>+8(SB)/8, $0x0807060504030201
DATA words<>+16(SB)/8, $0x0908070605040302
DATA words<>+24(SB)/8, $0x0a09080706050403
DATA words<>+32(SB)/8, $0x0b0a090807060504
DATA words<>+40(SB)/8, $0x0c0b0a0908070605
DATA words<>+48(SB)/8, $0x0d0c0b0a09080706
DATA words<>+56(SB)/8, $0x0e0d0c0b0a090807
GLOBL words<>(SB), RODATA|NOPTR, $64

// Eight positions: Y2 and Y3 go from r(p-8) to r(p), four 64-bit lanes each, and the
// top halves of the products x·y = (r(p-8) XOR a)·(r(p) XOR b) raise the maxima in top.
// With x = x1·2^32 + x0 that half is the top of x0·y0 (VPMULUDQ), plus x0·y1 and x1·y0,
// for which VPSHUFD swaps the halves of x (VPMULLD). VSHUFPS gathers halves of two
// registers into one; the order of positions gets lost and does not matter.
#define EIGHT(off, top) \
	VBROADCASTI128 off(SI), Y6; \
	VPXOR          Y2, Y0, Y8; \
	VPXOR          Y3, Y0, Y9; \
	VPSLLQ         $2, Y2, Y2; \
	VPSLLQ         $2, Y3, Y3; \
	VPSHUFB        Y13, Y6, Y7; \
	VPSHUFB        Y14, Y6, Y6; \
	VPADDQ         Y7, Y2, Y2; \
	VPADDQ         Y6, Y3, Y3; \
	VPXOR          Y2, Y1, Y10; \
	VPXOR          Y3, Y1, Y11; \
	VPSHUFD        $0xb1, Y8, Y6; \
	VPSHUFD        $0xb1, Y9, Y7; \
	VPMULUDQ       Y8, Y10, Y8; \
	VPMULUDQ       Y9, Y11, Y9; \
	VPMULLD        Y6, Y10, Y10; \
	VPMULLD        Y7, Y11, Y11; \
	VSHUFPS        $0xdd, Y9, Y8, Y8; \
	VSHUFPS        $0xdd, Y11, Y10, Y6; \
	VSHUFPS        $0x88, Y11, Y10, Y7; \
	VPADDD         Y6, Y8, Y8; \
	VPADDD         Y7, Y8, Y8; \
	VPMAXUD        Y8, top, top

// func skip(u *byte, n int, r *[8]uint64, a, b uint64, t uint32) int
TEXT ·skip(SB), NOSPLIT, $0-56
	MOVQ         u+0(FP), SI
	MOVQ         n+8(FP), CX
	MOVQ         r+16(FP), DX
	VPBROADCASTQ a+24(FP), Y0
	VPBROADCASTQ b+32(FP), Y1
	MOVL         t+40(FP), BX
	VMOVD        BX, X4
	VPBROADCASTD X4, Y4
	VMOVDQU      (DX), Y2
	VMOVDQU      32(DX), Y3
	VMOVDQU      words<>+0(SB), Y13
	VMOVDQU      words<>+32(SB), Y14
	XORQ         AX, AX

loop:
	CMPQ     AX, CX
	JGE      done
	VPXOR    Y5, Y5, Y5
	VPXOR    Y12, Y12, Y12
	EIGHT(0, Y5)
	EIGHT(8, Y12)
	EIGHT(16, Y5)
	EIGHT(24, Y12)
	VPMAXUD  Y5, Y12, Y5
	VPMAXUD  Y5, Y4, Y6
	VPCMPEQD Y5, Y6, Y6       // all ones where the maximum is at least t
	VPTEST   Y6, Y6
	JNE      done
	ADDQ     $32, SI
	INCQ     AX
	JMP      loop

done:
	VZEROUPPER
	MOVQ AX, ret+48(FP)
	RET
