// Package redisstore keeps everything in Redis: one server, one with replicas
// under Sentinel, or a Cluster. Processes that share the data act as one.
//
// # What lies where
//
// All of a workspace lies in one slot: its keys, their orders, its settings,
// events and tombstones share the hash tag {w:workspace}. What belongs to no
// workspace has slots of its own: the instance's settings, the signing ring
// and the stream of notices under {i}; a pointer from each key's id to its
// workspace; each one-time id, limit and revoked token; uses in 16 parts.
//
// A look-up takes one round trip once the process has seen the key, and two the
// first time. A key and its workspace are read at one moment. In a Cluster the
// instance's settings come from another slot in the same trip and may be a few
// microseconds older or newer; a change to either is never seen in part.
//
// # Changes
//
// A change is one script in the slot of its workspace: record, orders, events
// and the receipt of its one-time id. Around it stand steps in other slots,
// each harmless if it stays alone:
//
//   - A note of what is about to change is written first, and the change is
//     told to watchers after it was made. If the writer dies in between,
//     streams fall silent after 0.3 s, so that nobody relies on them, and a
//     watcher tells in its place after 2 s.
//   - A new key's pointer is reserved first, for two minutes, and made lasting
//     afterwards, by a watcher if need be. One that leads nowhere is given to whoever asks next.
//   - A one-time id is reserved first and names the change it belongs to. The
//     receipt in the change's slot decides: who finds an id that stays
//     reserved asks for the receipt, or, if there is none, writes one that
//     stops the change for good. So an id is spent exactly if its change was
//     made, whoever dies when.
//
// Every record names the request that wrote it, so that a request which the
// client sends again after a lost answer is not taken for another's.
//
// What a change rests on (store.Change.If) may lie in another slot. It is read
// right before the change and not with it: a record that moves between the two
// goes unnoticed. There are no Lists.
//
// # What Redis may forget
//
// Redis answers before data is on disk or on a replica. Check tells whether a
// server may evict keys or keeps nothing on disk; the first Watch logs it. With
// replicas that have their first copy a change waits for one of them unless
// Config.WaitReplicas says otherwise. One that was not confirmed in time is store.ErrUnavailable, and
// may have been made nevertheless.
//
// What a failover by Sentinel takes, as the tests count it: of some 300 changes
// acknowledged under load before and after the master was killed, none, with
// one replica waited for and also with none; the service was back after about
// 3.5 s, of which the sentinels take two to notice. If they take a master that is
// only slow for one that is down, what it acknowledges until it is told is lost:
// 98 of 325 in a run on a busy machine, with half a second to notice. Where the replicas
// had lost their master before it was killed, and it went on for 20 changes:
// all 20, with WaitNever and also by default, since then there is no replica to
// wait for; none with WaitReplicas 1, for it acknowledged none. Who cannot
// afford that sets WaitReplicas to 1.
//
// A server that was demoted, or that its replicas have left while
// min-replicas-to-write is set, still answers reads from what it knew. Lookup,
// Epochs.Read and the heartbeats of Watch ask it for a write as well, and are
// store.ErrUnavailable where it refuses one. A server that is merely full goes
// on answering them.
//
// In a Cluster a failover concerns one master. A key whose pointer it takes is
// in the lists and cannot log in: replace it. A workspace that it takes from the
// list of all comes back with its next change. Where a master does not answer,
// the client is told to ask who holds its slots by now; of some 400 changes
// acknowledged around the death of one of three masters, each with a replica,
// none was lost, and the service was back within a second of the takeover.
//
// Slots may move from master to master at any time. While one is on its way,
// Redis refuses what takes several keys of it; calls wait for it, for about 6 s
// unless their context ends before.
//
// A process remembers the last 10,000 revocations of single tokens that it
// wrote, and writes back what is missing when it reads less than it wrote and
// when its Watch begins anew.
//
// Time to live is garbage collection here: every comparison is with the
// caller's clock, except for when to tell in another's place. Epochs go by the
// server's.
//
// # What it takes
//
// A look-up is one script in one trip, and under 30 us of the process beyond
// the client's bare trip. A creation takes 4 trips, with a one-time id 6. A
// list over all workspaces reads a little of each: about 20 us a workspace and
// page. A lost notice shows within about 0.3 s, and a half-open connection
// falls silent at once.
package redisstore
