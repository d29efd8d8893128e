package apikey

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/latchkey-go/latchkey/store"
)

const (
	// How often all keys are gone through: while the instance's rules hold for
	// all keys from a date, and otherwise, since those of a workspace may.
	scanEnforced = time.Hour
	scanElse     = 24 * time.Hour
)

// remindEnforced reminds of the keys that rules end before their own expiry.
// No index finds them, so all keys are gone through, once in each stretch of
// time and by one replica; the reminders that will come before the next time
// are sent now. The scan is claimed and noted as a reminder is, so that one
// that was cut off is made again.
func (s *Service) remindEnforced(ctx context.Context, instance store.Instance) error {
	every := scanElse
	if !instance.Rules.EnforcedFrom.IsZero() {
		every = scanEnforced
	}
	now := s.now()
	begin := now.Truncate(every)
	name := fmt.Sprintf("%s.%d", every, begin.Unix())
	scan := due{id: "scan." + name, series: "scanned." + name, ends: begin.Add(every), before: every}
	if s.reminded.rests(scan.id, now) {
		return nil
	}
	done, _, err := s.sent(ctx, scan)
	if err != nil || done {
		return err
	}
	claimed, err := s.claim(ctx, scan)
	if err != nil || !claimed {
		return err
	}
	err = s.remindAll(ctx, store.KeyQuery{Disabled: new(bool), Limit: store.MaxPage}, every, true)
	if errors.Is(err, errCut) {
		return err
	}
	return errors.Join(err, s.noteSent(ctx, scan, 1))
}
