//go:build unix

package servers

import "syscall"

func kill(pid int) error         { return syscall.Kill(pid, syscall.SIGKILL) }
func sendStop(pid int) error     { return syscall.Kill(pid, syscall.SIGSTOP) }
func sendContinue(pid int) error { return syscall.Kill(pid, syscall.SIGCONT) }

func terminate(pid int, fast bool) error {
	if fast {
		return syscall.Kill(pid, syscall.SIGINT)
	}
	return syscall.Kill(pid, syscall.SIGTERM)
}
