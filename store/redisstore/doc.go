// Package redisstore keeps everything in Redis: one server, one with replicas
// under Sentinel, or a Cluster. Processes that share the data act as one.
//
//	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
//	driver, err := redisstore.New(client, redisstore.Config{})
//	srv, err := oauth.New(driver.Store(), ...)
//
// For Redis 6 or later and Valkey 8: tested with Redis 6.0, 7.0, 8.0 and Valkey 8.1.
//
// # What lies where
//
// All records of a store lie in one hash slot and so on one master. Their names
// begin with latchkey:{latchkey}: where latchkey is Config.Prefix. Limits
// (latchkey:limit:...) and the counters of usage (latchkey:{usage 0}:... to 15) are
// spread over the masters of a Cluster.
//
// A look-up is one script and one round trip. So is a change: its script compares
// what the change rests on, writes the record, the orders it stands in, its
// events and its one-time id, and publishes its notice, all at one moment. A client that lost the
// answer sends the script again, and the change is made once.
//
// # What a failover can lose
//
// A server with replicas acknowledges a change once one of them has it in memory
// (Config.WaitReplicas). A change that was not confirmed within Config.WaitTimeout is
// store.ErrUnavailable, and may have been made. Three losses are left: the replica
// that takes over is not the one that confirmed; a master that its replicas have left
// goes on alone, which WaitReplicas 1 or min-replicas-to-write prevents; limits,
// counters and last uses wait for no replica. A server that was demoted, or that
// lacks those replicas, may hold old data: it is asked for a write with each read that
// decides something, and with each limit. Only Usage.Days is answered without such a
// write: counts are statistics. A process remembers the last 10,000 revocations of single tokens that
// it made, and writes again those that a failover lost.
//
// # What a server must be set to
//
//	appendonly yes               or a restart loses what came since the last snapshot
//	appendfsync always           or a crash of the machine loses the last second (everysec)
//	maxmemory-policy noeviction  or revocations and spent one-time ids are evicted
//	min-replicas-to-write 1      with replicas: a master without them soon takes no writes
//
// [Driver.Check] tells which of the first three are missing; the first Watch logs it.
//
// A server whose memory is full still answers reads, and so does one that cannot write to
// its disk. The latter refuses PING, too, and with it ends each Watch.
//
// # Clients
//
//	redis.NewClient          one server
//	redis.NewFailoverClient  Sentinel: MasterName, SentinelAddrs, SentinelPassword
//	redis.NewClusterClient   a Cluster: not with ReadOnly, RouteByLatency, RouteRandomly
//
// All need ContextTimeoutEnabled. With DialerRetries 1 a call to a server that is down
// fails at once and says so; by default the client dials five times within half a
// second. For TLS set TLSConfig, or parse a rediss:// URL (redis.ParseURL and the
// like). A client opens up to PoolSize connections to a server (10 a processor by
// default), PipelinePoolSize more (10), and one for each Watch. It logs addresses to
// standard error unless redis.SetLogger was called.
//
// # Rights
//
// This user can do what the driver does and nothing else (one line; Redis 6.0 has no
// rights to channels):
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
// latchkey:{latchkey}:notices:n in place of the other. ClientName needs
// +client|setname. The client's attempts at CLIENT SETINFO and MAINT_NOTIFICATIONS may
// be refused. Give all rights before the first call: Redis does not undo what a script
// wrote until it was refused.
//
// # Managed services
//
// As their manuals say; none was tried. Where CONFIG is refused, Check cannot see how
// a server writes to disk; where WAIT is, set WaitNever. A service without ROLE hides
// its replicas: a change waits for as many as Config.WaitReplicas says, and by default
// for none.
//
//	Amazon ElastiCache   evicts (volatile-lru) unless set to noeviction; no CONFIG
//	Amazon MemoryDB      no CONFIG; a key of Redis beyond 256 MB stays in its shard;
//	                     no Multi-Region, where SET takes no time to live
//	Google Memorystore   evicts (volatile-lru) unless set to noeviction; no CONFIG
//	Azure Managed Redis  evicts (volatile-lru) unless set to noeviction
//	OCI Cache            no sharded clusters, which refuse scripts
//
// # How much fits
//
// One master holds and serves all records, at about 1.1 kB a key with its orders. The
// table of store/README.md has the times. On two shared cores, with 64 callers on the
// same machine, it answered 30,000 to 45,000 look-ups a second and made 14,000 changes
// with appendfsync everysec, 9,500 with always, 8,800 where a replica confirms.
//
// A script visits 200 records at most, and changes 50 or removes 100 events: what takes
// more is done in steps, between which others come in. At a million keys, 100,000 of
// them in one workspace, and a million events, 999 of 1,000 scripts of each kind took
// less than 5 ms of the processor, and the longest of all 10 ms.
//
// A Cluster adds room and speed for limits and usage only. Beyond one master, keep the
// records in PostgreSQL or in a Galera cluster of MariaDB (package sqlstore), and
// assign Limiter and Usage of this driver's store to that of the other.
//
// The keys of all workspaces are one hash. While a Cluster moves its slot, calls wait,
// for 6 s at most. MIGRATE stops both servers while it copies the hash, and fails
// beyond 512 MB (proto-max-bulk-len). So leave that slot where it is: CLUSTER KEYSLOT
// latchkey:{latchkey}:keys names it.
//
// # Clocks
//
// Epochs and limits go by the server's clock; ends of keys, one-time ids and revocations
// by the caller's. A time to live in Redis only clears what ended ten minutes ago.
package redisstore
