//go:build unix

package servers

import "syscall"

func terminate(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }
func kill(pid int) error      { return syscall.Kill(pid, syscall.SIGKILL) }
func hold(pid int) error      { return syscall.Kill(pid, syscall.SIGSTOP) }
func proceed(pid int) error   { return syscall.Kill(pid, syscall.SIGCONT) }
