package apikey

import (
	"syscall"
	"time"
)

// sleep is time.Sleep to some microseconds. On Linux Go's own timers wait for
// whole milliseconds while a process is idle (epoll_wait): what a store took
// would come out again as it went in. This one holds a thread meanwhile.
func sleep(d time.Duration) {
	wait := syscall.NsecToTimespec(int64(d))
	var left syscall.Timespec
	for syscall.Nanosleep(&wait, &left) == syscall.EINTR {
		wait = left
	}
}
