// Package redisstore keeps everything in Redis: one server, one with replicas
// under Sentinel, or a Cluster. Processes that share the data act as one.
//
//	client := redis.NewClient(&redis.Options{Addr: addr, ContextTimeoutEnabled: true})
//	driver, err := redisstore.New(client, redisstore.Config{})
//	srv, err := oauth.New(driver.Store(), ...)
//
// It needs Redis 6 or later, or Valkey, and is tested with Redis 6.0, 7.0 and 8.0
// and with Valkey 8.1.
//
// # What lies where
//
// All records of a store lie in one hash slot and so on one master. Their names
// begin with latchkey:{latchkey}: where latchkey is Config.Prefix. Limits
// (latchkey:limit:...) and the counters of usage (latchkey:{usage 0}:... to 15) are
// spread over the masters of a Cluster.
//
// A look-up is one script and one round trip. So is a change: its script compares
// what the change rests on, writes the record, its orders, its events and its
// one-time id, and publishes its notice, all at one moment. A client that lost the
// answer sends the script again, and the change is made once.
//
// # What a failover can lose
//
// A server with replicas acknowledges a change once one of them has it in memory
// (Config.WaitReplicas). A change that was not confirmed within Config.WaitTimeout
// is store.ErrUnavailable, and may have been made. This leaves three losses: the
// replica that takes over is not the one that confirmed; a master that its replicas
// have left goes on alone, which WaitReplicas 1 or min-replicas-to-write prevents;
// limits and counters of usage, which wait for no replica. A server that was demoted
// or lacks those replicas may hold old data, so reads that decide something are
// refused there. Revocations of single tokens that a failover took are written again
// by the process that made them, the last 10,000 of each.
//
// # What a server must be set to
//
//	appendonly yes               or a restart loses what came since the last snapshot
//	appendfsync always           or a crash of the machine loses the last second (everysec)
//	maxmemory-policy noeviction  or revocations and spent one-time ids are evicted
//	min-replicas-to-write 1      with replicas: a master without them takes no writes
//
// [Driver.Check] tells which of the first three are missing; the first Watch logs it.
//
// # Clients
//
//	redis.NewClient          one server
//	redis.NewFailoverClient  Sentinel: MasterName, SentinelAddrs, SentinelPassword
//	redis.NewClusterClient   a Cluster: not with ReadOnly, RouteByLatency, RouteRandomly
//
// All need ContextTimeoutEnabled. For TLS set TLSConfig, or parse a rediss:// URL
// (redis.ParseURL, ParseFailoverURL, ParseClusterURL). A client opens up to PoolSize
// connections to a server (10 a processor by default) and PipelinePoolSize more
// (10), and each Watch one.
//
// # Rights
//
// This user can do what the driver does, and nothing else. It is one line; channels
// have rights since Redis 6.2.
//
//	ACL SETUSER latchkey on >password resetkeys ~latchkey:*
//	  resetchannels &latchkey:{latchkey}:notices -@all +evalsha +eval
//	  +get +mget +set +del +unlink +exists +hget +hmget +hgetall +hkeys +hset
//	  +hsetnx +hdel +hexists +hincrby +hlen +zadd +zrem +zrangebylex
//	  +zrevrangebylex +sadd +srem +smembers +publish +subscribe +ping +time +wait
//	  +info +config|get
//
// On every node of a Cluster:
//
//	ACL SETUSER latchkey +cluster|slots +asking
//
// Options.DB needs +select, and ClientName +client|setname. What the client says of
// itself may be refused (+client|setinfo; or set DisableIdentity). Give all rights
// before the first call: Redis does not undo what a script wrote until it was refused.
//
// # Managed services
//
// Most refuse CONFIG, and Check says that it cannot see how they write to disk. Most
// evict by default (volatile-lru): set noeviction. One that refuses WAIT needs
// WaitNever.
//
//	Amazon ElastiCache   volatile-lru: use a parameter group of your own; no CONFIG
//	Amazon MemoryDB      no CONFIG; items beyond 256 MB do not move to another shard;
//	                     not Multi-Region, where SET takes no time to live
//	Google Memorystore   volatile-lru, also for Redis Cluster; no CONFIG
//	Azure Managed Redis  volatile-lru
//	OCI Cache            not sharded: a sharded one refuses scripts
//
// # How much fits
//
// One master holds and serves all records:
//
//	bytes a key           TODO
//	look-ups a second     TODO
//	changes a second      TODO
//	a page of 100 keys    TODO
//	the longest script    TODO
//
// A Cluster adds room and speed for limits and usage only. Who needs more keeps the
// records in PostgreSQL or in a Galera cluster of MariaDB (package sqlstore), and limits and usage
// in Redis: assign Limiter and Usage of this driver's store to that of the other.
//
// The keys of all workspaces are one hash. While a Cluster moves its slot, calls wait
// for it, up to 6 s. MIGRATE stops both servers as long as it copies the hash, and
// fails beyond 512 MB (proto-max-bulk-len). So leave that slot where it is:
// CLUSTER KEYSLOT latchkey:{latchkey}:keys names it.
//
// # Clocks
//
// Epochs and limits go by the server's clock; when keys, one-time ids and
// revocations end, by the caller's. A time to live in Redis only clears what ended
// ten minutes ago.
package redisstore
