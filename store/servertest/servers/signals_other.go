//go:build !unix

package servers

import (
	"errors"
	"os"
	"syscall"
)

func attributes(*account) *syscall.SysProcAttr { return nil }
func children(int) []int                       { return nil }
func alive(int) bool                           { return false }
func terminate(pid int, _ bool) error          { return kill(pid) }
func sendStop(int) error                       { return errors.ErrUnsupported }
func sendContinue(int) error                   { return errors.ErrUnsupported }

func kill(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
