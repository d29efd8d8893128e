package servers

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// attributes lets the server end when the test binary does, however that ends.
func attributes(as *account) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if as != nil {
		attr.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
	return attr
}

// children lists the processes that a server has started. PostgreSQL puts
// each into a session of its own, so a signal to the group misses them.
func children(pid int) []int {
	var list []int
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		child, err := strconv.Atoi(filepath.Base(filepath.Dir(stat)))
		if err != nil {
			continue
		}
		if _, parent := status(child); parent == strconv.Itoa(pid) {
			list = append(list, child)
		}
	}
	return list
}

// alive reports whether a process can still do something.
func alive(pid int) bool {
	state, _ := status(pid)
	return state != "" && state != "Z"
}

// status reads the letter of a process's state, and its parent; empty if it
// has ended. proc(5): pid (name) state parent ...; a name may hold anything.
func status(pid int) (state, parent string) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return "", ""
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 2 {
		return "", ""
	}
	return fields[0], fields[1]
}
