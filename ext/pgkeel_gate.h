/* The words that the agent and PostgreSQL share: whether commits may be acknowledged, and what the server is doing.
 *
 * Plain C, included by the extension (ext/) and by the agent (src/postgres/gate.cc). The words lie in a small file in
 * /dev/shm, mapped by both; it is created by the agent before it starts PostgreSQL, written in place, and never renamed
 * or truncated while a server has it mapped. Every word is read and written with __atomic_load_n and __atomic_store_n.
 * Times are microseconds of CLOCK_BOOTTIME, positions are WAL positions (XLogRecPtr). */
#ifndef PGKEEL_GATE_H
#define PGKEEL_GATE_H

#include <stdint.h>

#define PGKEEL_GATE_MAGIC UINT64_C(0x6b65656c67617465) /* "keelgate" */
/* Of this layout and its meaning. Another one in the file: the server is fenced, and says so. */
#define PGKEEL_GATE_VERSION 1
#define PGKEEL_GATE_SENDERS_MAX 32
#define PGKEEL_GATE_NAME_MAX 64

/* Of the library: what status compares with the program's own, and shows. */
#define PGKEEL_LIBRARY_VERSION 100 /* 0.1.0 */

struct pgkeel_gate_sender {
    char name[PGKEEL_GATE_NAME_MAX]; /* application_name: the member's id */
    uint32_t pid;                    /* 0: this entry is empty */
    uint32_t state;                  /* WalSndState: 0 startup, 1 backup, 2 catchup, 3 streaming, 4 stopping */
    uint32_t sync_priority;          /* 0: not a synchronous standby */
    uint32_t unused;
    uint64_t sent, write, flush, replay;
};

struct pgkeel_gate {
    /* ---- made by the agent when it creates the file */
    uint64_t magic;
    uint32_t version;
    uint32_t size;    /* sizeof(struct pgkeel_gate) */
    char boot_id[40]; /* /proc/sys/kernel/random/boot_id; words of another boot are void */

    /* ---- orders of the agent */
    int64_t deadline_us; /* until then commits may be acknowledged; 0: fenced */
    uint64_t epoch;      /* of the deadline, for messages */
    uint32_t
        recheck;     /* 1: look at the deadline again after the commit record (async, or nobody else has the commits) */
    uint32_t floor;  /* least synchronous_commit of a writing transaction: SyncCommitLevel (off 0 .. apply 4) */
    uint32_t logins; /* 1: clients may log in while this server is a primary */
    uint32_t unmask; /* 1: cancels and terminations go through to a commit that waits (before a fast shutdown) */
    int64_t agent_us; /* when the agent last wrote */
    uint64_t reserved[8];

    /* ---- facts of the server, written about every 100 ms by its background worker; sequence is odd while it writes */
    uint64_t sequence;
    int64_t server_us;        /* when it last wrote */
    uint32_t library_version; /* PGKEEL_LIBRARY_VERSION of the loaded library */
    uint32_t server_version;  /* PG_VERSION_NUM */
    int64_t postmaster;       /* its pid */
    uint32_t in_recovery;
    uint32_t senders_used; /* entries of senders[] that count */
    uint64_t flush;        /* primary: flush position; standby: the larger of received and replayed */
    uint64_t replay;       /* standby: replayed; primary: where its recovery ended */
    int64_t
        fsync_us; /* how long the last probe of the WAL disk took; -1: none yet, or it failed (see the server's log) */
    int64_t fsync_begun_us; /* of a probe that has not come back; 0: none is under way */
    uint64_t refused;       /* commits refused since the start */
    uint64_t held;          /* commits that now wait for the deadline to be renewed */
    struct pgkeel_gate_sender senders[PGKEEL_GATE_SENDERS_MAX];
};

#endif
