package apikey

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/latchkey-go/latchkey/oauth/internal/jose"
	"github.com/latchkey-go/latchkey/store"
)

// newChange makes the store.Change of a write, with its audit event.
func (s *Service) newChange(now time.Time, actor Actor, e store.Event) (store.Change, error) {
	var random [16]byte
	if _, err := io.ReadFull(s.cfg.Random, random[:]); err != nil {
		return store.Change{}, fmt.Errorf("apikey: %s: no random id for the event: %w", e.Action, err)
	}
	e.ID, e.Time, e.Actor, e.ActorName, e.Address = hex.EncodeToString(random[:]), now, actor.ref, printable(actor.Name), addressText(actor.Address)
	return store.Change{Now: now, Events: []store.Event{e}}, nil
}

// eventOf returns the event of an action on a key.
func eventOf(action string, k *store.Key, changed []store.FieldChange) store.Event {
	return store.Event{Action: action, Workspace: k.Workspace, Key: k.ID, KeyName: k.Name, Changes: changed}
}

// maxEventText bounds each text of an event, in bytes.
const maxEventText = 1024

// printable replaces what cannot be printed, and cuts the text to the size that an
// event may have.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, text)
	if len(text) > maxEventText {
		text = strings.ToValidUTF8(text[:maxEventText-len("…")], "") + "…"
	}
	return text
}

// addressText returns an address without its zone, which can be any text.
func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// changedFields returns the fields that differ, and each credential that does as a field
// of its own, with the name of its kind. These are at most 64, of 32 before and 32 after.
func changedFields(before, after *store.Key) []store.FieldChange {
	changed := fieldChanges("name permissions expires_at resources disabled direct", keyTexts(before, after), keyTexts(after, before))
	added := slices.DeleteFunc(slices.Clone(after.Credentials), func(c store.Credential) bool { return before.Credential(c.ID) != nil })
	for _, c := range slices.Concat(before.Credentials, added) {
		was, is := credentialText(before.Credential(c.ID)), credentialText(after.Credential(c.ID))
		if was != is {
			changed = append(changed, store.FieldChange{Field: kindOf(&c), Old: printable(was), New: printable(is)})
		}
	}
	return changed
}

// fieldChanges returns the fields whose texts before and after differ. names are those
// of the management API.
func fieldChanges(names string, before, after []string) (changed []store.FieldChange) {
	for i, name := range strings.Fields(names) {
		if before[i] != after[i] {
			changed = append(changed, store.FieldChange{Field: name, Old: printable(before[i]), New: printable(after[i])})
		}
	}
	return changed
}

// keyTexts returns the fields of k as texts, in the order of changedFields. other is the
// key to compare with: if the permissions of either are too long for an event, only those
// that other lacks are returned.
func keyTexts(k, other *store.Key) []string {
	held, requested := k.Permissions, k.RequestedPermissions
	if max(len(held.String()), len(other.Permissions.String())) > maxEventText { // what differs must not be cut off
		held = held.Minus(other.Permissions)
	}
	permissions := held.String()
	if !requested.Equal(k.Permissions) {
		permissions += " (requested: " + requested.String() + ")"
	}
	if k.AdminPermissions.Len() > 0 {
		permissions += " (granted by an administrator: " + k.AdminPermissions.String() + ")"
	}
	return []string{
		k.Name, permissions, cmp.Or(k.NotAfterText, instantText(k.NotAfter)), strings.Join(k.Resources, " "), strconv.FormatBool(k.Disabled), strconv.FormatBool(k.Direct),
	}
}

// credentialText returns the text of a credential, or "" for nil. What a caller chose is
// quoted, so that no name can pass for another text. If the text is too long for an event,
// each of these is cut by itself, so that all of them show.
func credentialText(c *store.Credential) (text string) {
	if c == nil {
		return ""
	}
	for limit := maxEventText; limit > 0 && (text == "" || len(text) > maxEventText); limit = limit * 3 / 4 {
		text = credentialTextOf(c, func(part string) string {
			if len(part) <= limit {
				return strconv.Quote(part)
			}
			return strconv.Quote(strings.ToValidUTF8(part[:limit], "")) + "…"
		})
	}
	return text
}

func credentialTextOf(c *store.Credential, quoted func(string) string) string {
	text := c.ID + " …" + c.Hint
	if !c.IsSecret() {
		text = c.ID + " " + quoted(c.Name)
	}
	if !c.NotAfter.IsZero() {
		text += " until " + instantText(c.NotAfter)
	}
	switch {
	case c.PublicKey != nil:
		public, _, _ := jose.ParsePublicKey([]byte(c.PublicKey.JWK)) //nolint:errcheck // it was checked when it was stored
		text += fmt.Sprintf(" kid %s endpoint_audience %t long_assertions %t", quoted(public.ID), c.PublicKey.EndpointAudience, c.PublicKey.LongAssertions)
	case c.Trust != nil:
		text += " issuer " + c.Trust.Issuer
		for _, claim := range c.Trust.Claims {
			text += " " + quoted(claim.Name) + "=" + quoted(claim.Value)
		}
	}
	return text
}

// settingsNames are the fields of settingsTexts. Those of a workspace are the first
// seven.
const settingsNames = "max_keys require_expiry max_lifetime enforced_at key_requests workspace_requests suspended keys_enabled direct_enabled reminders_enabled remind_before"

// settingsTexts returns the fields of settings as texts.
func settingsTexts(r store.Rules, suspended bool, in store.InstanceSettings) []string {
	return []string{
		limitText(r.MaxKeys), strconv.FormatBool(r.RequireExpiry), spanText(r.MaxLifetime), instantText(r.EnforcedFrom), limitText(r.KeyRequests), limitText(r.WorkspaceRequests),
		strconv.FormatBool(suspended), strconv.FormatBool(!in.KeysOff), strconv.FormatBool(!in.DirectOff), strconv.FormatBool(!in.Reminders.Off), spanText(in.Reminders.Before...),
	}
}

// limitText returns the number, but "unlimited" for store.Unlimited, and nothing for 0.
func limitText(n int) string {
	return strings.TrimPrefix(strings.Replace(strconv.Itoa(n), "-1", "unlimited", 1), "0")
}

func instantText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// spanText returns durations, in days if they are whole ones.
func spanText(spans ...time.Duration) string {
	var texts []string
	for _, d := range spans {
		const day = 24 * time.Hour
		switch {
		case d == 0:
		case d%day == 0:
			texts = append(texts, strconv.Itoa(int(d/day))+"d")
		default:
			texts = append(texts, d.String())
		}
	}
	return strings.Join(texts, " ")
}
