/* The file of words that the agent and this server share: maps it, judges it, and answers "may a commit pass?" */
#include "pgkeel.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "miscadmin.h"

#define BOOT_ID_LENGTH 36

/* Before keel_gate_map(), and when not even anonymous memory is to be had: shut. */
static struct pgkeel_gate nothing;
static struct pgkeel_gate *words = &nothing;

/* Made once in the postmaster; the children inherit them. */
static char problem[MAXPGPATH + 256] =
    "The library pgkeel was loaded too late, so it guards nothing: it is not in shared_preload_libraries.";
static char const *mend = "Add pgkeel to shared_preload_libraries and restart the server.";

static char const *const kStartByAgent =
    "Start this server through pgkeel (\"pgkeel node\"), not by hand; it serves reads meanwhile.";

struct pgkeel_gate *keel_gate(void) { return words; }
char const *keel_gate_problem(void) { return problem[0] != '\0' ? problem : NULL; }
char const *keel_gate_mend(void) { return mend; }

int64 keel_now_us(void) {
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

bool keel_gate_open(void) { return KEEL_LOOK(deadline_us) > keel_now_us(); }

static bool trouble(char const *what_to_do, char const *format, ...) __attribute__((format(printf, 2, 3)));

static bool trouble(char const *what_to_do, char const *format, ...) {
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(problem, sizeof(problem), format, arguments);
    va_end(arguments);
    mend = what_to_do;
    return false;
}

/* The file is a door to the commits of this server: one that others could have made or may write is none. */
static bool trusted(int fd) {
    struct stat status;

    if (fstat(fd, &status) != 0)
        return trouble(kStartByAgent, "The gate's file \"%s\" cannot be read: %m.", keel_gate_file);
    if (!S_ISREG(status.st_mode) || (status.st_uid != geteuid() && status.st_uid != 0) || (status.st_mode & 022) != 0) {
        return trouble("Remove that file, then start this server through pgkeel.",
                       "The gate's file \"%s\" is no regular file that only this server's user may write.",
                       keel_gate_file);
    }
    if (status.st_size != (off_t)sizeof(struct pgkeel_gate)) {
        return trouble("Install the extension and the program of the same pgkeel release.",
                       "The gate's file \"%s\" has %lld bytes, this library knows one of %zu.", keel_gate_file,
                       (long long)status.st_size, sizeof(struct pgkeel_gate));
    }
    return true;
}

static bool of_this_boot(const struct pgkeel_gate *gate) {
    char now[BOOT_ID_LENGTH];
    int const fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    bool const known = fd >= 0 && read(fd, now, sizeof(now)) == (ssize_t)sizeof(now);

    if (fd >= 0) close(fd);
    return known && memcmp(now, gate->boot_id, sizeof(now)) == 0 && gate->boot_id[BOOT_ID_LENGTH] == '\0';
}

static bool judge(const struct pgkeel_gate *gate) {
    if (gate->magic != PGKEEL_GATE_MAGIC) {
        return trouble("Let pgkeel.gate_file name the file that pgkeel made, and start this server through pgkeel.",
                       "\"%s\" is no gate's file.", keel_gate_file);
    }
    if (gate->version != PGKEEL_GATE_VERSION || gate->size != sizeof(struct pgkeel_gate)) {
        return trouble("Install the extension and the program of the same pgkeel release.",
                       "The gate's file \"%s\" has layout %u of %u bytes, this library knows layout %d of %zu bytes.",
                       keel_gate_file, gate->version, gate->size, PGKEEL_GATE_VERSION, sizeof(struct pgkeel_gate));
    }
    if (!of_this_boot(gate)) {
        return trouble(kStartByAgent, "The gate's file \"%s\" was written before this machine was booted.",
                       keel_gate_file);
    }
    return true;
}

static struct pgkeel_gate *map_file(void) {
    struct pgkeel_gate *gate = NULL;
    int fd;

    if (keel_gate_file == NULL || keel_gate_file[0] == '\0') {
        trouble(kStartByAgent, "The setting pgkeel.gate_file is empty.");
        return NULL;
    }
    fd = open(keel_gate_file, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) {
        trouble(kStartByAgent, "The gate's file \"%s\" cannot be opened: %m.", keel_gate_file);
        return NULL;
    }
    if (trusted(fd)) {
        gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (gate == MAP_FAILED) {
            trouble(kStartByAgent, "The gate's file \"%s\" cannot be mapped: %m.", keel_gate_file);
            gate = NULL;
        }
    }
    close(fd);
    if (gate != NULL && !judge(gate)) {
        munmap(gate, sizeof(*gate));
        gate = NULL;
    }
    return gate;
}

void keel_gate_map(void) {
    struct pgkeel_gate *gate;

    problem[0] = '\0';
    gate = map_file();
    if (gate == NULL) {
        /* Shared all the same, so that the counts of every session add up. */
        gate = mmap(NULL, sizeof(*gate), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (gate == MAP_FAILED) gate = &nothing;
    }
    words = gate;
}

/* Each time that shared memory is made anew: also after the crash of one session, within the same postmaster. */
void keel_gate_begin(void) {
    KEEL_TELL(refused, 0);
    KEEL_TELL(held, 0);
    KEEL_TELL(fsync_us, -1);
    KEEL_TELL(fsync_begun_us, 0);
    if (keel_gate_problem() != NULL) {
        ereport(LOG, (errmsg("pgkeel: fenced, no write can be committed on this server until it is started again"),
                      errdetail("%s", problem), errhint("%s", mend)));
    }
}

char *keel_gate_why_shut(void) {
    int64 const deadline = KEEL_LOOK(deadline_us);
    uint64 const epoch = KEEL_LOOK(epoch);

    if (keel_gate_problem() != NULL) return pstrdup(problem);
    if (deadline == 0 && epoch == 0) return pstrdup("No agent has ever allowed this server to accept writes.");
    if (deadline == 0)
        return psprintf("The agent has closed the gate; the last epoch here was " UINT64_FORMAT ".", epoch);
    return psprintf("The lease of epoch " UINT64_FORMAT " ended " INT64_FORMAT " ms ago.", epoch,
                    (keel_now_us() - deadline) / 1000);
}
