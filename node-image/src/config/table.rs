//! The one table of directives.
//!
//! A row makes a [`Name`] for code and a [`Directive`] for the file, CONFIG and the docs: name,
//! alias, kind, default, when a change takes effect, and a sentence. A directive of Redis that
//! has nothing to switch here is accepted only when ignoring it breaks no promise; its sentence
//! begins with "Accepted". Not known here: what a directive brings about.

use super::When::{Live, Protected, Start};
use super::kinds::{self, Kind};
use super::{Kind as K, When};

/// One directive.
#[derive(Debug)]
pub struct Directive {
    /// Its place in the table, as code names it.
    pub id: Name,
    /// As the file names it.
    pub name: &'static str,
    /// Another name for it, or nothing.
    pub alias: &'static str,
    /// How it is read.
    pub kind: Kind,
    /// As the file would give it.
    pub default: &'static str,
    /// When a change takes effect.
    pub when: When,
    /// What it does.
    pub doc: &'static str,
}

impl Directive {
    /// True when CONFIG GET shows it only to those who ask for its very name: it serves tests.
    pub fn is_hidden(&self) -> bool {
        matches!(
            self.id,
            Name::RdbKeySaveDelay
                | Name::KeyLoadDelay
                | Name::LoadingProcessEventsIntervalBytes
                | Name::AofDisableAutoGc
                | Name::UseExitOnPanic
                | Name::WatchdogPeriod
                | Name::LuaEnableDeprecatedApi
                | Name::ReplicaIgnoreDiskWriteErrors
        )
    }

    /// True when it must not be logged.
    pub fn is_secret(&self) -> bool {
        matches!(self.id, Name::Requirepass | Name::Masterauth | Name::Masteruser)
    }
}

// A macro, since a function cannot make an enumeration and a table from one list, and two lists
// would have to be kept in the same order by hand.
macro_rules! directives {
    ($($id:ident $name:literal $alias:literal $kind:expr, $default:literal, $when:expr,
       $doc:literal;)*) => {
        /// Names of directives, in the order of the table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Name {
            $(#[doc = $doc] $id,)*
        }

        /// Every directive.
        pub static TABLE: &[Directive] = &[
            $(Directive {
                id: Name::$id,
                name: $name,
                alias: $alias,
                kind: $kind,
                default: $default,
                when: $when,
                doc: $doc,
            },)*
        ];
    };
}

/// A directive by its name or alias, in any case.
pub fn find(name: &str) -> Option<&'static Directive> {
    let lower = name.to_ascii_lowercase();
    TABLE.iter().find(|d| d.name == lower || (!d.alias.is_empty() && d.alias == lower))
}

const I64: i64 = i64::MAX;
const I32: i64 = i32::MAX as i64;
const PORT: Kind = K::Number { min: 0, max: 65535 };
const SIZE: Kind = K::Bytes { min: 0, max: I64 };
const ANY: Kind = K::Number { min: 0, max: I32 };

directives! {
    // The network.
    Port "port" "" PORT, "6379", Start, "Client port; 0 for none.";
    Bind "bind" "" K::Checked(kinds::addresses), "* -::*", Start,
        "Addresses to listen on; a leading - makes one optional.";
    ProtectedMode "protected-mode" "" K::YesNo, "yes", Live,
        "Without a password, serve loopback only.";
    TcpBacklog "tcp-backlog" "" K::Number { min: 0, max: I32 }, "511", Start,
        "Connections that the kernel keeps until they are accepted.";
    Unixsocket "unixsocket" "" K::Text, "", Start,
        "Accepted: no socket in the file system is served.";
    Unixsocketperm "unixsocketperm" "" K::Octal, "0", Start,
        "Accepted: no socket in the file system is served.";
    Timeout "timeout" "" ANY, "0", Live, "Seconds after which an idle client is cut; 0 for never.";
    TcpKeepalive "tcp-keepalive" "" ANY, "300", Live, "Seconds between TCP keepalive probes.";
    Maxclients "maxclients" "" K::Number { min: 1, max: I32 }, "10000", Live,
        "Connections at the same time.";
    ClientQueryBufferLimit "client-query-buffer-limit" "" K::Bytes { min: 1024 * 1024, max: I64 },
        "1gb", Live, "Bytes that a client may have sent and not yet had understood.";
    ProtoMaxBulkLen "proto-max-bulk-len" "" K::Bytes { min: 1024 * 1024, max: I64 }, "512mb", Live,
        "Bytes in one argument.";
    ClientOutputBufferLimit "client-output-buffer-limit" "" K::Checked(kinds::output_limits),
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", Live,
        "Bytes of replies that may wait: class, hard limit, soft limit, seconds over the soft one.";
    BindSourceAddr "bind-source-addr" "" K::Text, "", Live,
        "Address from which the node connects to its primary.";
    // Ports of our own.
    ControlPort "control-port" "" PORT, "0", Start, "Port of the operator's commands; 0 for none.";
    AdminPort "admin-port" "" PORT, "0", Start, "HTTP port of metrics and probes; 0 for none.";
    ControlPasswordFile "control-password-file" "" K::Text, "", Start,
        "File with the password of the control port.";
    RequirepassFile "requirepass-file" "" K::Text, "", Start, "File with `requirepass`.";
    MasterauthFile "masterauth-file" "" K::Text, "", Start, "File with `masterauth`.";
    HoldfastClusterId "holdfast-cluster-id" "" K::Checked(kinds::cluster_id), "", Start,
        "Name of the cluster; nodes of two names never join.";
    HoldfastPodUid "holdfast-pod-uid" "" K::Text, "", Start, "Uid of the pod.";
    ClusterAllowForeignNodes "cluster-allow-foreign-nodes" "" K::YesNo, "no", Live,
        "Join nodes that tell no cluster name.";
    LogFormat "log-format" "" K::Word(&["redis", "json"]), "redis", Start, "Form of log lines.";
    // TLS.
    TlsPort "tls-port" "" PORT, "0", Start, "Client port that speaks TLS; 0 for none.";
    TlsCertFile "tls-cert-file" "" K::Text, "", Live, "PEM file of this node's certificate chain.";
    TlsKeyFile "tls-key-file" "" K::Text, "", Live, "PEM file of its private key.";
    TlsKeyFilePass "tls-key-file-pass" "" K::Checked(kinds::unset_key_password), "", Start,
        "Must be empty: private keys are read without a password.";
    TlsClientCertFile "tls-client-cert-file" "" K::Text, "", Live,
        "Certificate shown to other nodes; empty for tls-cert-file.";
    TlsClientKeyFile "tls-client-key-file" "" K::Text, "", Live,
        "Its private key; empty for tls-key-file.";
    TlsClientKeyFilePass "tls-client-key-file-pass" "" K::Checked(kinds::unset_key_password), "",
        Start, "Must be empty: private keys are read without a password.";
    TlsCaCertFile "tls-ca-cert-file" "" K::Text, "", Live,
        "PEM file of the authorities that are trusted.";
    TlsCaCertDir "tls-ca-cert-dir" "" K::Text, "", Live, "Directory of such files.";
    TlsAuthClients "tls-auth-clients" "" K::Word(&["yes", "no", "optional"]), "yes", Live,
        "Whether clients must show a certificate that an authority signed.";
    TlsReplication "tls-replication" "" K::YesNo, "no", Start,
        "Connect to the primary, and to targets of migrations, by TLS.";
    TlsCluster "tls-cluster" "" K::YesNo, "no", Start, "Speak TLS on the cluster bus.";
    TlsPeerNameCheck "tls-peer-name-check" "" K::YesNo, "yes", Live,
        "Compare other nodes' certificates with the host name that they announce.";
    TlsProtocols "tls-protocols" "" K::Checked(kinds::tls_protocols), "", Live,
        "TLSv1.2 and TLSv1.3, or one of them; empty for both.";
    TlsCiphers "tls-ciphers" "" K::Checked(kinds::unset_ciphers), "", Start,
        "Must be empty: only suites without known weaknesses exist here.";
    TlsCiphersuites "tls-ciphersuites" "" K::Checked(kinds::unset_ciphers), "", Start,
        "Must be empty: only suites without known weaknesses exist here.";
    TlsPreferServerCiphers "tls-prefer-server-ciphers" "" K::YesNo, "no", Start,
        "Accepted: the server's order decides; all suites are good ones.";
    TlsDhParamsFile "tls-dh-params-file" "" K::Checked(kinds::unset_dh_params), "", Start,
        "Must be empty: keys are agreed on elliptic curves.";
    TlsSessionCaching "tls-session-caching" "" K::YesNo, "yes", Start,
        "Accepted: sessions are resumed from a small cache in memory.";
    TlsSessionCacheSize "tls-session-cache-size" "" ANY, "20480", Start,
        "Accepted: the cache holds 256 sessions.";
    TlsSessionCacheTimeout "tls-session-cache-timeout" "" ANY, "300", Start,
        "Accepted: the oldest session goes when the cache is full.";
    // The process.
    Daemonize "daemonize" "" K::YesNo, "no", Start, "Accepted: `no` only, a supervisor does this.";
    Supervised "supervised" "" K::Word(&["no", "auto", "upstart", "systemd"]), "no", Start,
        "Accepted: the supervisor is not told.";
    Pidfile "pidfile" "" K::Text, "", Start, "File that gets the process id.";
    Dir "dir" "" K::Text, "./", Protected, "Directory of data and nodes.conf.";
    Loglevel "loglevel" "" K::Word(&["debug", "verbose", "notice", "warning", "nothing"]),
        "notice", Live, "How much is logged.";
    Logfile "logfile" "" K::Text, "", Start, "File of the log; empty for standard output.";
    SyslogEnabled "syslog-enabled" "" K::YesNo, "no", Start, "Accepted: `no` only.";
    AlwaysShowLogo "always-show-logo" "" K::YesNo, "no", Start, "Accepted: there is no logo.";
    SetProcTitle "set-proc-title" "" K::YesNo, "yes", Start,
        "Accepted: the process keeps its name.";
    ProcTitleTemplate "proc-title-template" "" K::Text, "{title} {listen-addr} {server-mode}",
        Live, "Accepted: the process keeps its name.";
    CrashLogEnabled "crash-log-enabled" "" K::YesNo, "yes", Live,
        "Accepted: a panic is always logged.";
    CrashMemcheckEnabled "crash-memcheck-enabled" "" K::YesNo, "yes", Live,
        "Accepted: no memory test is made after a crash.";
    UseExitOnPanic "use-exit-on-panic" "" K::YesNo, "no", Start,
        "Accepted: a panic always ends the process.";
    OomScoreAdj "oom-score-adj" "" K::Word(&["no", "yes|relative", "absolute"]), "no", Start,
        "Accepted: Kubernetes sets the score.";
    OomScoreAdjValues "oom-score-adj-values" "" K::Text, "0 200 800", Start,
        "Accepted: Kubernetes sets the score.";
    DisableThp "disable-thp" "" K::YesNo, "yes", Start,
        "Accepted: without a fork, huge pages do no harm.";
    IoThreads "io-threads" "" K::Number { min: 1, max: 128 }, "1", Start,
        "Accepted: one core does all of the work for now.";
    IoThreadsDoReads "io-threads-do-reads" "" K::YesNo, "no", Start, "Accepted: see io-threads.";
    Hz "hz" "" K::Number { min: 0, max: I32 }, "10", Live,
        "How often a second the core looks at what is due.";
    DynamicHz "dynamic-hz" "" K::YesNo, "yes", Live,
        "Accepted: work is spread over turns, not over ticks.";
    Activerehashing "activerehashing" "" K::YesNo, "yes", Live,
        "Accepted: tables grow bucket by bucket, there is nothing to rehash.";
    ShutdownTimeout "shutdown-timeout" "" ANY, "10", Live,
        "Seconds that a shutdown waits for replicas.";
    ShutdownOnSigterm "shutdown-on-sigterm" "" K::Text, "default", Live,
        "Options of the SHUTDOWN that SIGTERM means.";
    ShutdownOnSigint "shutdown-on-sigint" "" K::Text, "default", Live,
        "Options of the SHUTDOWN that SIGINT means.";
    Databases "databases" "" K::Number { min: 1, max: I32 }, "16", Start, "Number of databases.";
    EnableProtectedConfigs "enable-protected-configs" "" K::Word(&["no", "yes", "local"]), "no",
        Start, "Who may set paths by CONFIG SET.";
    EnableDebugCommand "enable-debug-command" "" K::Word(&["no", "yes", "local"]), "no", Start,
        "Who may use DEBUG.";
    EnableModuleCommand "enable-module-command" "" K::Word(&["no", "yes", "local"]), "no", Start,
        "Accepted: there are no modules.";
    // Who may.
    Requirepass "requirepass" "" K::Text, "", Live, "Password of the default user.";
    Masterauth "masterauth" "" K::Text, "", Live, "Password that a replica gives to its primary.";
    Masteruser "masteruser" "" K::Text, "", Live, "User that a replica gives to its primary.";
    AclPubsubDefault "acl-pubsub-default" "" K::Word(&["allchannels", "resetchannels"]),
        "resetchannels", Live, "Whether a new user may use all channels.";
    AcllogMaxLen "acllog-max-len" "" K::Number { min: 0, max: I64 }, "128", Live,
        "Refusals that ACL LOG keeps.";
    Aclfile "aclfile" "" K::Text, "", Start, "File with the users.";
    // Memory.
    Maxmemory "maxmemory" "" SIZE, "0", Live, "Bytes that the data set may use; 0 for no limit.";
    MaxmemoryPolicy "maxmemory-policy" "" K::Word(&[
        "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru",
        "allkeys-lfu", "allkeys-random", "noeviction",
    ]), "noeviction", Live,
        "How use of keys is counted. Nothing is removed yet: a full node refuses writes.";
    MaxmemorySamples "maxmemory-samples" "" K::Number { min: 1, max: 64 }, "5", Live,
        "Accepted: nothing is removed yet.";
    MaxmemoryEvictionTenacity "maxmemory-eviction-tenacity" "" K::Number { min: 0, max: 100 },
        "10", Live, "Accepted: nothing is removed yet.";
    MaxmemoryClients "maxmemory-clients" "" K::BytesOrPercent, "0", Live,
        "What ordinary clients may cost together, or a share of maxmemory; 0 for no bound.";
    ReplicaIgnoreMaxmemory "replica-ignore-maxmemory" "slave-ignore-maxmemory" K::YesNo, "yes",
        Live, "A replica removes only what its primary removes.";
    LfuLogFactor "lfu-log-factor" "" ANY, "10", Live, "How slowly the use counter grows.";
    LfuDecayTime "lfu-decay-time" "" ANY, "1", Live, "Minutes after which it shrinks.";
    ActiveExpireEffort "active-expire-effort" "" K::Number { min: 1, max: 10 }, "1", Live,
        "How much of a turn is spent on keys whose time is over.";
    LazyfreeLazyEviction "lazyfree-lazy-eviction" "" K::YesNo, "no", Live,
        "Accepted: large values are always freed in steps.";
    LazyfreeLazyExpire "lazyfree-lazy-expire" "" K::YesNo, "no", Live,
        "Accepted: large values are always freed in steps.";
    LazyfreeLazyServerDel "lazyfree-lazy-server-del" "" K::YesNo, "no", Live,
        "Accepted: large values are always freed in steps.";
    LazyfreeLazyUserDel "lazyfree-lazy-user-del" "" K::YesNo, "no", Live,
        "Accepted: large values are always freed in steps.";
    LazyfreeLazyUserFlush "lazyfree-lazy-user-flush" "" K::YesNo, "no", Live,
        "Accepted: large values are always freed in steps.";
    ReplicaLazyFlush "replica-lazy-flush" "slave-lazy-flush" K::YesNo, "no", Live,
        "Accepted: large values are always freed in steps.";
    Activedefrag "activedefrag" "" K::YesNo, "no", Live,
        "Accepted: `no` is the truth, the allocator does not move values.";
    // Encodings.
    HashMaxListpackEntries "hash-max-listpack-entries" "hash-max-ziplist-entries"
        K::Number { min: 0, max: I64 }, "512", Live, "Fields of a small hash.";
    HashMaxListpackValue "hash-max-listpack-value" "hash-max-ziplist-value" SIZE, "64", Live,
        "Bytes of a field or value of a small hash.";
    ListMaxListpackSize "list-max-listpack-size" "list-max-ziplist-size"
        K::Number { min: -5, max: I32 }, "-2", Live,
        "Elements of a list's node, or -1 to -5 for 4 to 64 KiB.";
    ListCompressDepth "list-compress-depth" "" ANY, "0", Live,
        "Accepted: the nodes of a list are not compressed.";
    SetMaxIntsetEntries "set-max-intset-entries" "" K::Number { min: 0, max: I64 }, "512", Live,
        "Members of a set of numbers that is kept as a row.";
    SetMaxListpackEntries "set-max-listpack-entries" "" K::Number { min: 0, max: I64 }, "128",
        Live, "Members of a small set; 0 as in Redis 7.0.";
    SetMaxListpackValue "set-max-listpack-value" "" K::Number { min: 0, max: I64 }, "64", Live,
        "Bytes of a member of a small set.";
    ZsetMaxListpackEntries "zset-max-listpack-entries" "zset-max-ziplist-entries"
        K::Number { min: 0, max: I64 }, "128", Live, "Members of a small sorted set.";
    ZsetMaxListpackValue "zset-max-listpack-value" "zset-max-ziplist-value" SIZE, "64", Live,
        "Bytes of a member of a small sorted set.";
    HllSparseMaxBytes "hll-sparse-max-bytes" "" SIZE, "3000", Live,
        "Bytes of a sparse HyperLogLog.";
    StreamNodeMaxBytes "stream-node-max-bytes" "" SIZE, "4096", Live,
        "Bytes of a node of a stream; 0 for no bound.";
    StreamNodeMaxEntries "stream-node-max-entries" "" K::Number { min: 0, max: I64 }, "100", Live,
        "Entries of a node of a stream; 0 for no bound.";
    // Snapshots.
    Save "save" "" K::Checked(kinds::save), "3600 1 300 100 60 10000", Live,
        "Save when so many seconds and changes have gone by.";
    Dbfilename "dbfilename" "" K::Checked(kinds::file_name), "dump.rdb", Protected,
        "File of the snapshot.";
    Rdbcompression "rdbcompression" "" K::YesNo, "yes", Live, "Compress strings in snapshots.";
    Rdbchecksum "rdbchecksum" "" K::YesNo, "yes", Start, "End snapshots with a checksum.";
    RdbDelSyncFiles "rdb-del-sync-files" "" K::YesNo, "no", Live,
        "Accepted: no file is left behind by a synchronisation.";
    RdbSaveIncrementalFsync "rdb-save-incremental-fsync" "" K::YesNo, "yes", Live,
        "Accepted: snapshots are always written through in steps.";
    RdbKeySaveDelay "rdb-key-save-delay" "" K::Number { min: -I32, max: I32 }, "0", Live,
        "Microseconds to wait after each key of a snapshot, for tests.";
    KeyLoadDelay "key-load-delay" "" K::Number { min: -I32, max: I32 }, "0", Live,
        "Microseconds to wait after each key that is loaded, for tests.";
    StopWritesOnBgsaveError "stop-writes-on-bgsave-error" "" K::YesNo, "yes", Live,
        "Refuse writes after a snapshot has failed.";
    SanitizeDumpPayload "sanitize-dump-payload" "" K::Word(&["no", "yes", "clients"]), "no", Live,
        "Accepted: payloads are always checked.";
    LoadingProcessEventsIntervalBytes "loading-process-events-interval-bytes" ""
        K::Bytes { min: 1024, max: I64 }, "2mb", Live,
        "Bytes that are loaded between two looks at clients.";
    // Append-only file.
    Appendonly "appendonly" "" K::YesNo, "no", Live, "Keep the append-only file.";
    Appendfilename "appendfilename" "" K::Checked(kinds::file_name), "appendonly.aof", Start,
        "Beginning of the names of its files.";
    Appenddirname "appenddirname" "" K::Checked(kinds::file_name), "appendonlydir", Start,
        "Directory of its files, below `dir`.";
    Appendfsync "appendfsync" "" K::Word(&["everysec", "always", "no"]), "everysec", Live,
        "When it is made durable.";
    NoAppendfsyncOnRewrite "no-appendfsync-on-rewrite" "" K::YesNo, "no", Live,
        "Do not sync while it is rewritten.";
    AutoAofRewritePercentage "auto-aof-rewrite-percentage" "" ANY, "100", Live,
        "Growth after which it is rewritten.";
    AutoAofRewriteMinSize "auto-aof-rewrite-min-size" "" SIZE, "64mb", Live,
        "Below this size it is not rewritten by itself.";
    AofLoadTruncated "aof-load-truncated" "" K::YesNo, "yes", Live,
        "Cut a torn tail instead of refusing to start.";
    AofUseRdbPreamble "aof-use-rdb-preamble" "" K::YesNo, "yes", Live,
        "Write the base file as a snapshot.";
    AofRewriteIncrementalFsync "aof-rewrite-incremental-fsync" "" K::YesNo, "yes", Live,
        "Accepted: the base file is always written through in steps.";
    AofTimestampEnabled "aof-timestamp-enabled" "" K::YesNo, "no", Live,
        "Write the time into the file.";
    AofDisableAutoGc "aof-disable-auto-gc" "" K::YesNo, "no", Live,
        "Keep the files of earlier generations, for tests.";
    // Replication.
    Replicaof "replicaof" "slaveof" K::Checked(kinds::replica_of), "", Start,
        "Host and port of the primary.";
    ReplicaServeStaleData "replica-serve-stale-data" "slave-serve-stale-data" K::YesNo, "yes",
        Live, "Serve reads although the link to the primary is down.";
    ReplicaReadOnly "replica-read-only" "slave-read-only" K::YesNo, "yes", Live,
        "Refuse writes of clients on a replica.";
    ReplicaPriority "replica-priority" "slave-priority" ANY, "100", Live,
        "Told in INFO for those who choose replicas by it.";
    ReplicaAnnounced "replica-announced" "" K::YesNo, "yes", Live,
        "Accepted: there is no Sentinel to hide from.";
    ReplicaAnnounceIp "replica-announce-ip" "slave-announce-ip" K::Text, "", Live,
        "Address that the primary shows for this replica.";
    ReplicaAnnouncePort "replica-announce-port" "slave-announce-port" PORT, "0", Live,
        "Port that the primary shows for this replica.";
    ReplDisklessSync "repl-diskless-sync" "" K::YesNo, "yes", Live,
        "Accepted: a full synchronisation never goes through a file.";
    ReplDisklessSyncDelay "repl-diskless-sync-delay" "" ANY, "5", Live,
        "Accepted: a full synchronisation begins at once.";
    ReplDisklessSyncMaxReplicas "repl-diskless-sync-max-replicas" "" ANY, "0", Live,
        "Accepted: a full synchronisation begins at once.";
    ReplDisklessLoad "repl-diskless-load" "" K::Word(&["disabled", "on-empty-db", "swapdb"]),
        "disabled", Live,
        "Accepted: the old data is always kept until the new is complete.";
    ReplPingReplicaPeriod "repl-ping-replica-period" "repl-ping-slave-period"
        K::Number { min: 1, max: I32 }, "10", Live, "Seconds between pings to replicas.";
    ReplTimeout "repl-timeout" "" K::Number { min: 1, max: I32 }, "60", Live,
        "Seconds of silence after which the link is given up.";
    ReplDisableTcpNodelay "repl-disable-tcp-nodelay" "" K::YesNo, "no", Live,
        "Accepted: the stream is sent at once.";
    ReplBacklogSize "repl-backlog-size" "" K::Bytes { min: 1, max: I64 }, "1mb", Live,
        "Bytes of the stream that are kept for replicas that come back.";
    ReplBacklogTtl "repl-backlog-ttl" "" ANY, "3600", Live,
        "Accepted: the backlog is kept as long as the node runs.";
    MinReplicasToWrite "min-replicas-to-write" "min-slaves-to-write" ANY, "0", Live,
        "Refuse writes with fewer replicas than this.";
    MinReplicasMaxLag "min-replicas-max-lag" "min-slaves-max-lag" ANY, "10", Live,
        "Seconds after which a silent replica no longer counts.";
    PropagationErrorBehavior "propagation-error-behavior" ""
        K::Word(&["ignore", "panic", "panic-on-replicas"]), "ignore", Live,
        "Accepted: a command that fails in the stream is logged.";
    ReplicaIgnoreDiskWriteErrors "replica-ignore-disk-write-errors" "" K::YesNo, "no", Live,
        "Go on applying the stream although the disk fails.";
    // The cluster.
    ClusterEnabled "cluster-enabled" "" K::YesNo, "no", Start, "Be a node of a cluster.";
    ClusterConfigFile "cluster-config-file" "" K::Text, "nodes.conf", Start,
        "File of the cluster's state, below `dir`.";
    ClusterPort "cluster-port" "" PORT, "0", Start, "Bus port; 0 for the client port plus 10000.";
    ClusterNodeTimeout "cluster-node-timeout" "" K::Number { min: 0, max: I64 }, "15000", Live,
        "Milliseconds of silence after which a node is thought to have failed.";
    ClusterAnnounceIp "cluster-announce-ip" "" K::Text, "", Live,
        "Address that other nodes and clients are told.";
    ClusterAnnouncePort "cluster-announce-port" "" PORT, "0", Live,
        "Client port that they are told.";
    ClusterAnnounceBusPort "cluster-announce-bus-port" "" PORT, "0", Live,
        "Bus port that they are told.";
    ClusterAnnounceTlsPort "cluster-announce-tls-port" "" PORT, "0", Live,
        "Client port for TLS that they are told.";
    ClusterAnnounceHostname "cluster-announce-hostname" "" K::Text, "", Live,
        "Host name that other nodes and clients are told.";
    ClusterPreferredEndpointType "cluster-preferred-endpoint-type" ""
        K::Word(&["ip", "hostname", "unknown-endpoint"]), "ip", Live,
        "What clients are sent to.";
    ClusterReplicaValidityFactor "cluster-replica-validity-factor"
        "cluster-slave-validity-factor" ANY, "10", Live,
        "A replica that was cut off longer does not stand for election.";
    ClusterReplicaNoFailover "cluster-replica-no-failover" "cluster-slave-no-failover" K::YesNo,
        "no", Live, "Never stand for election.";
    ClusterMigrationBarrier "cluster-migration-barrier" "" ANY, "1", Live,
        "Replicas that a primary keeps before one moves to an orphan.";
    ClusterAllowReplicaMigration "cluster-allow-replica-migration" "" K::YesNo, "yes", Live,
        "Replicas may move to primaries that have none.";
    ClusterRequireFullCoverage "cluster-require-full-coverage" "" K::YesNo, "yes", Live,
        "Serve nothing while a slot has no owner.";
    ClusterAllowReadsWhenDown "cluster-allow-reads-when-down" "" K::YesNo, "no", Live,
        "Serve reads of own slots while the cluster is down.";
    ClusterAllowPubsubshardWhenDown "cluster-allow-pubsubshard-when-down" "" K::YesNo, "yes",
        Live, "Serve channels of shards while the cluster is down.";
    ClusterLinkSendbufLimit "cluster-link-sendbuf-limit" "" SIZE, "0", Live,
        "Bytes that may wait for a peer on the bus; 0 for our own bound.";
    // What is measured.
    SlowlogLogSlowerThan "slowlog-log-slower-than" "" K::Number { min: -1, max: I64 }, "10000",
        Live, "Microseconds from which a command is logged as slow; -1 for never.";
    SlowlogMaxLen "slowlog-max-len" "" K::Number { min: 0, max: I64 }, "128", Live,
        "Entries of the slow log.";
    LatencyMonitorThreshold "latency-monitor-threshold" "" K::Number { min: 0, max: I64 }, "0",
        Live, "Accepted: there is no LATENCY yet, see the slow log.";
    LatencyTracking "latency-tracking" "" K::YesNo, "yes", Live,
        "Accepted: INFO commandstats has means, there are no percentiles yet.";
    LatencyTrackingInfoPercentiles "latency-tracking-info-percentiles" "" K::Text, "50 99 99.9",
        Live, "Accepted: see latency-tracking.";
    NotifyKeyspaceEvents "notify-keyspace-events" "" K::Checked(kinds::notify_classes), "", Live,
        "Events about keys that are published, as letters of classes.";
    TrackingTableMaxKeys "tracking-table-max-keys" "" K::Number { min: 0, max: I64 }, "1000000",
        Live, "Keys that are remembered for CLIENT TRACKING; 0 for no bound.";
    WatchdogPeriod "watchdog-period" "" ANY, "0", Live,
        "Accepted: /livez watches the core.";
    // Scripts.
    LuaTimeLimit "lua-time-limit" "busy-reply-threshold" K::Number { min: 0, max: I64 }, "5000",
        Live, "Milliseconds after which a script has taken too long; 0 for never.";
    LuaEnableDeprecatedApi "lua-enable-deprecated-api" "" K::YesNo, "no", Start,
        "Scripts find getfenv, setfenv and newproxy.";
}
