// Package redisstore stores everything in Redis: on one server, on a server with
// replicas under Sentinel, or in a Cluster. Any number of processes may share the data.
//
//	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
//	driver, err := redisstore.New(client, redisstore.Config{})
//	srv, err := oauth.New(driver.Store(), ...)
//
// For Redis 6 or later and Valkey 8: tested with Redis 6.0, 7.0, 8.0 and Valkey 8.1.
//
// # Layout
//
// All records of a store are in one hash slot, and so on one master. Their Redis keys
// begin with latchkey:{latchkey}: where latchkey is Config.Prefix. Limits
// (latchkey:limit:...) and usage counters (latchkey:{usage 0}:... to 15) are spread
// over the masters of a Cluster.
//
// A look-up, by the id of a key or of a credential, is one script and one round trip. So is a
// change. Its script checks the preconditions, writes the record, its sorted sets, the
// entries of its credentials, its events and its one-time id, and publishes its notification,
// atomically. If the client does not get the answer, it sends the script again; the
// change is made once.
//
// # What a failover can lose
//
// If the server has replicas, a change succeeds once one of them has it in memory
// (Config.WaitReplicas). If no replica confirms within Config.WaitTimeout, the call
// returns store.ErrUnavailable; the change may have been made. A failover can still lose
// data in three cases:
//
//   - The replica that takes over is not the one that confirmed.
//   - A master goes on after it has lost its replicas. WaitReplicas 1 or
//     min-replicas-to-write prevents this.
//   - Limits, counters and times of last use do not wait for replicas.
//
// A server that was demoted, or that lacks the replicas of min-replicas-to-write, may
// have old data. So each read that decides something, and each limit, also sends a
// write, which such a server refuses. Only Usage.ByDay sends no write, since counts are
// statistics. Each process remembers the last 10,000 revocations of single tokens that it
// made, and writes those that a failover lost again.
//
// # Required server settings
//
//	appendonly yes               otherwise a restart loses all since the last snapshot
//	appendfsync always           otherwise (everysec) a crash of the machine loses the last second
//	maxmemory-policy noeviction  otherwise revocations and spent one-time ids may be evicted
//	min-replicas-to-write 1      with replicas: a master that has lost them stops taking writes
//
// [Driver.Check] reports which of the first three are missing. The first Watch logs them.
//
// A server whose memory is full still answers reads. So does one that cannot write to its
// disk, but it refuses PING, which ends each Watch.
//
// # Clients
//
//	redis.NewClient          one server
//	redis.NewFailoverClient  Sentinel: MasterName, SentinelAddrs, SentinelPassword
//	redis.NewClusterClient   a Cluster: not with ReadOnly, RouteByLatency, RouteRandomly
//
// All need ContextTimeoutEnabled. With DialerRetries 1 a call to a server that is down
// fails at once with the cause; by default the client dials five times within half a
// second. For TLS set TLSConfig, or parse a rediss:// URL (with redis.ParseURL, for
// example). A client opens up to PoolSize connections to a server (default 10 for each
// processor), PipelinePoolSize more (default 10), and one for each Watch. It logs
// addresses to standard error unless redis.SetLogger was called.
//
// # Rights
//
// This user has exactly the rights that the driver needs (write it as one line; Redis
// 6.0 has no rights to channels):
//
//	ACL SETUSER latchkey on >password resetkeys ~latchkey:*
//	  resetchannels &latchkey:{latchkey}:notices -@all +evalsha +eval
//	  +get +set +del +unlink +exists +hget +hmget +hgetall +hkeys +hset +hsetnx
//	  +hdel +hexists +hincrby +hlen +zadd +zrem +zrangebylex
//	  +zrevrangebylex +sadd +srem +smembers +pexpire +pttl +publish +subscribe +ping
//	  +time +wait +role +info +config|get
//
// On every node of a Cluster:
//
//	ACL SETUSER latchkey +cluster|slots +asking
//
// Options.DB needs +select and, for a database n, the channel
// latchkey:{latchkey}:notices:n instead of the one above. ClientName needs
// +client|setname. The client also tries CLIENT SETINFO and MAINT_NOTIFICATIONS; the
// server may refuse them. Grant all rights before the first call: if a script lacks a
// right, Redis does not roll back what the script has written before.
//
// # Managed services
//
// This table is from the services' manuals; none was tested. If a service refuses
// CONFIG, Check cannot report how the server writes to disk. If it refuses WAIT, set
// WaitNever. If it refuses ROLE, its replicas are not visible: a change then waits for
// the number in Config.WaitReplicas, and by default for none.
//
//	Amazon ElastiCache   evicts (volatile-lru) unless set to noeviction; no CONFIG
//	Amazon MemoryDB      no CONFIG; a key of Redis beyond 256 MB stays in its shard;
//	                     no Multi-Region, where SET takes no time to live
//	Google Memorystore   evicts (volatile-lru) unless set to noeviction; no CONFIG
//	Azure Managed Redis  evicts (volatile-lru) unless set to noeviction
//	OCI Cache            no sharded clusters, which refuse scripts
//
// # Capacity
//
// One master stores and serves all records. A key with one secret, with all that leads
// to it, takes about 1.4 kB. The table in store/README.md has the latencies. On two shared cores, with 64
// callers on the same machine, one master answered 30,000 to 45,000 look-ups a second.
// It made 14,000 changes a second with appendfsync everysec, 9,500 with always, and 8,800
// with a replica that confirms.
//
// A script reads at most 200 records, and changes at most 50 records or removes at most
// 100 events. Larger calls run several scripts, between which the server answers other
// calls. With a million keys, 100,000 of them in one workspace, and a million events,
// 99.9% of the scripts of each kind took less than 5 ms of processor time, and the
// longest took 10 ms.
//
// A Cluster adds capacity only for limits and usage. If the records outgrow one master,
// store them in PostgreSQL or in a MariaDB Galera cluster (package sqlstore), and assign
// Limiter and Usage of this driver's store to that store.
//
// The keys of all workspaces are one hash. While a Cluster moves its slot, calls wait for
// up to 6 s. MIGRATE blocks both servers while it copies the hash, and fails beyond 512
// MB (proto-max-bulk-len). So do not move that slot; CLUSTER KEYSLOT
// latchkey:{latchkey}:keys shows its number.
//
// # Clocks
//
// Epochs and limits use the server's clock. The expiry of keys, one-time ids and
// revocations uses the caller's clock. A time to live in Redis only removes what expired
// at least ten minutes ago.
package redisstore
