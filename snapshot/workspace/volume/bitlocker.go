package volume

import (
	"context"
	"strings"
)

// protections are what the shell's property System.Volume.BitLockerProtection says; it is there
// for everybody, while manage-bde and WMI ask for an administrator. Another number is not known.
var protections = map[string]Answer{
	"1": {State: Encrypted, Why: "BitLocker"},
	"2": {State: Off, Why: "BitLocker is off"},
	"3": {State: Converting, Why: "BitLocker is encrypting it"},
	"4": {State: Converting, Why: "BitLocker is decrypting it"},
	"5": {State: Off, Why: "BitLocker is suspended: the key lies on the disk in the clear"},
	"8": {State: Off, Why: "BitLocker waits for its activation: the key lies on the disk in the clear"},
}

// bitLocker judges the volume whose root, such as C:\, is given.
func bitLocker(ctx context.Context, ask asks, powershell, root string) Answer {
	if strings.HasPrefix(root, `\\`) {
		return unknown(root, "it is a share of another computer")
	}
	script := "(New-Object -ComObject Shell.Application).NameSpace('" + strings.ReplaceAll(root, "'", "''") +
		"').Self.ExtendedProperty('System.Volume.BitLockerProtection')"
	out, err := ask(ctx, powershell, "-NoProfile", "-NonInteractive", "-Command", script)
	if err != nil {
		return unknown(root, "PowerShell: %v", err)
	}
	a, ok := protections[strings.TrimSpace(out)]
	if !ok {
		return unknown(root, "Windows says %q of BitLocker", strings.TrimSpace(out))
	}
	a.Volume = root
	return a
}
