/* A double of the parts of NCCL's and CUDA's C interfaces that Aisle calls: host memory plays the device, threads of one process play the ranks. Everything that is
   handed in is checked, so a wrong argument fails here as it would there. The tests compile it. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, INVALID_USAGE = 5, REMOTE_ERROR = 6 };
enum { CUDA_INVALID_VALUE = 1, CUDA_INVALID_DEVICE = 101, CUDA_NOT_READY = 600, CUDA_OUT_OF_MEMORY = 2 };
enum { MOST_RANKS = 8, MOST_WORLDS = 64, MOST_BLOCKS = 256, DEVICES = 4, INT64 = 4, SUM = 0 };

typedef struct { char bytes[128]; } id_t128;

typedef struct {
    id_t128 id;
    int ranks, joined, arrived, generation;
    const void *sent[MOST_RANKS];
    size_t counts[MOST_RANKS];
    int kinds[MOST_RANKS];
} world_t;

typedef struct { world_t *world; int rank, device; } comm_t;
typedef struct { int device, pending; } stream_t;
typedef struct { char *start; size_t bytes; int device; } block_t; /* device −1: pinned host memory */

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static world_t worlds[MOST_WORLDS];
static int world_count, ids;
static block_t blocks[MOST_BLOCKS];
static int live, failures_left, failure_code, is_stuck, async_error;
static char failing[64];
static long call_count;
static __thread int device;

/* ---- what the tests steer it with ---- */

void double_fail(const char *function, int code, int after) {
    pthread_mutex_lock(&gate);
    snprintf(failing, sizeof failing, "%s", function);
    failure_code = code;
    failures_left = after;
    pthread_mutex_unlock(&gate);
}

void double_stick(int stuck, int error) {
    pthread_mutex_lock(&gate);
    is_stuck = stuck;
    async_error = error;
    pthread_mutex_unlock(&gate);
}

/* Worlds, streams and memory that nobody gave back. */
int double_live(void) { return live; }

long double_calls(void) { return call_count; }

/* Under the gate. */
static int fails(const char *function) {
    call_count++;
    if (strcmp(function, failing) != 0 || failures_left-- > 0) return 0;
    failing[0] = 0;
    return failure_code;
}

#define ENTER(name) \
    pthread_mutex_lock(&gate); \
    int result = fails(name); \
    if (result) { pthread_mutex_unlock(&gate); return result; }
#define LEAVE(code) { int left = (code); pthread_mutex_unlock(&gate); return left; }

static block_t *block_of(const void *at, size_t bytes, int wanted) {
    for (int i = 0; i < MOST_BLOCKS; i++) {
        block_t *b = &blocks[i];
        if (b->start && b->device == wanted && (char *)at >= b->start && (char *)at + bytes <= b->start + b->bytes) return b;
    }
    return NULL;
}

static int keep(void **memory, size_t bytes, int where) {
    for (int i = 0; i < MOST_BLOCKS; i++) {
        if (blocks[i].start) continue;
        blocks[i] = (block_t){ malloc(bytes ? bytes : 1), bytes, where };
        memset(blocks[i].start, 0xA5, bytes); /* nobody may count on zeros */
        *memory = blocks[i].start;
        live++;
        return SUCCESS;
    }
    return CUDA_OUT_OF_MEMORY;
}

static int drop(void *memory, int is_host) {
    for (int i = 0; i < MOST_BLOCKS; i++) {
        if (blocks[i].start != memory || (blocks[i].device < 0) != is_host) continue;
        free(blocks[i].start);
        blocks[i].start = NULL;
        live--;
        return SUCCESS;
    }
    return CUDA_INVALID_VALUE;
}

/* Under the gate: waits until every rank of the world is here, at most ten seconds. */
static int meet(world_t *world) {
    int generation = world->generation;
    if (++world->arrived == world->ranks) {
        world->arrived = 0;
        world->generation++;
        pthread_cond_broadcast(&changed);
        return SUCCESS;
    }
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    while (world->generation == generation) {
        if (pthread_cond_timedwait(&changed, &gate, &until)) return SYSTEM_ERROR;
    }
    return SUCCESS;
}

/* ---- CUDA ---- */

const char *cudaGetErrorString(int code) { return code == CUDA_OUT_OF_MEMORY ? "out of memory" : "an error of the double"; }
int cudaGetDeviceCount(int *count) { ENTER("cudaGetDeviceCount") *count = DEVICES; LEAVE(SUCCESS) }
int cudaSetDevice(int wanted) { ENTER("cudaSetDevice") if (wanted < 0 || wanted >= DEVICES) LEAVE(CUDA_INVALID_DEVICE) device = wanted; LEAVE(SUCCESS) }
int cudaMalloc(void **memory, size_t bytes) { ENTER("cudaMalloc") LEAVE(keep(memory, bytes, device)) }
int cudaFree(void *memory) { ENTER("cudaFree") LEAVE(drop(memory, 0)) }
int cudaMallocHost(void **memory, size_t bytes) { ENTER("cudaMallocHost") LEAVE(keep(memory, bytes, -1)) }
int cudaFreeHost(void *memory) { ENTER("cudaFreeHost") LEAVE(drop(memory, 1)) }

int cudaStreamCreateWithFlags(stream_t **stream, unsigned flags) {
    ENTER("cudaStreamCreateWithFlags")
    if (flags != 1) LEAVE(CUDA_INVALID_VALUE)
    *stream = malloc(sizeof **stream);
    **stream = (stream_t){ device, 0 };
    live++;
    LEAVE(SUCCESS)
}

int cudaStreamDestroy(stream_t *stream) { ENTER("cudaStreamDestroy") free(stream); live--; LEAVE(SUCCESS) }

int cudaStreamQuery(stream_t *stream) {
    ENTER("cudaStreamQuery")
    if (is_stuck) LEAVE(CUDA_NOT_READY)
    LEAVE(stream->pending-- > 0 ? CUDA_NOT_READY : SUCCESS)
}

int cudaMemcpyAsync(void *to, const void *from, size_t bytes, int kind, stream_t *stream) {
    ENTER("cudaMemcpyAsync")
    if (stream->device != device) LEAVE(CUDA_INVALID_VALUE)
    const void *on_device = kind == 1 ? to : from, *on_host = kind == 1 ? from : to;
    if ((kind != 1 && kind != 2) || !block_of(on_device, bytes, device) || !block_of(on_host, bytes, -1)) LEAVE(CUDA_INVALID_VALUE)
    memcpy(to, from, bytes);
    stream->pending = 2; /* so that whoever does not wait is found out */
    LEAVE(SUCCESS)
}

/* ---- NCCL ---- */

const char *ncclGetErrorString(int code) { return code == REMOTE_ERROR ? "remote process exited or there was a network error" : "an error of the double"; }

int ncclGetUniqueId(id_t128 *id) {
    ENTER("ncclGetUniqueId")
    for (int i = 0; i < 128; i++) id->bytes[i] = (char)(i * 7 + ids);
    ids++;
    LEAVE(SUCCESS)
}

int ncclCommInitRank(comm_t **comm, int ranks, id_t128 id, int rank) {
    ENTER("ncclCommInitRank")
    if (ranks < 1 || ranks > MOST_RANKS || rank < 0 || rank >= ranks) LEAVE(INVALID_ARGUMENT)
    world_t *world = NULL;
    for (int i = 0; i < world_count; i++) if (!memcmp(&worlds[i].id, &id, sizeof id)) world = &worlds[i];
    if (!world) {
        if (world_count == MOST_WORLDS) LEAVE(SYSTEM_ERROR)
        world = &worlds[world_count++];
        *world = (world_t){ .id = id, .ranks = ranks };
    }
    if (world->ranks != ranks || (world->joined & 1 << rank)) LEAVE(INVALID_USAGE)
    world->joined |= 1 << rank;
    int met = meet(world);
    if (met) LEAVE(met)
    *comm = malloc(sizeof **comm);
    **comm = (comm_t){ world, rank, device };
    live++;
    LEAVE(SUCCESS)
}

static int gone(comm_t *comm, const char *name) { ENTER(name) free(comm); live--; LEAVE(SUCCESS) }
int ncclCommDestroy(comm_t *comm) { return gone(comm, "ncclCommDestroy"); }
int ncclCommAbort(comm_t *comm) { return gone(comm, "ncclCommAbort"); }
int ncclCommGetAsyncError(comm_t *comm, int *error) { ENTER("ncclCommGetAsyncError") (void)comm; *error = async_error; LEAVE(SUCCESS) }

/* Under the gate: everyone shows what they send, and everyone must mean the same. */
static int show(comm_t *comm, const void *sent, size_t count, int kind) {
    world_t *world = comm->world;
    world->sent[comm->rank] = sent;
    world->counts[comm->rank] = count;
    world->kinds[comm->rank] = kind;
    int met = meet(world);
    if (met) return met;
    for (int r = 0; r < world->ranks; r++) if (world->counts[r] != count || world->kinds[r] != kind) return INVALID_USAGE;
    return SUCCESS;
}

int ncclReduceScatter(const void *send, void *receive, size_t count, int type, int operation, comm_t *comm, stream_t *stream) {
    ENTER("ncclReduceScatter")
    int ranks = comm->world->ranks;
    if (type != INT64 || operation != SUM || device != comm->device || stream->device != device) LEAVE(INVALID_ARGUMENT)
    if (!block_of(send, count * ranks * 8, device) || !block_of(receive, count * 8, device)) LEAVE(INVALID_ARGUMENT)
    int shown = show(comm, send, count, 1);
    if (shown) LEAVE(shown)
    for (size_t i = 0; i < count; i++) {
        uint64_t sum = 0;
        for (int r = 0; r < ranks; r++) sum += ((const uint64_t *)comm->world->sent[r])[count * comm->rank + i];
        ((uint64_t *)receive)[i] = sum;
    }
    LEAVE(meet(comm->world))
}

int ncclAllGather(const void *send, void *receive, size_t count, int type, comm_t *comm, stream_t *stream) {
    ENTER("ncclAllGather")
    int ranks = comm->world->ranks;
    if (type != INT64 || device != comm->device || stream->device != device) LEAVE(INVALID_ARGUMENT)
    if (send != (char *)receive + comm->rank * count * 8 || !block_of(receive, count * ranks * 8, device)) LEAVE(INVALID_ARGUMENT)
    int shown = show(comm, send, count, 2);
    if (shown) LEAVE(shown)
    for (int r = 0; r < ranks; r++) if (r != comm->rank) memcpy((char *)receive + r * count * 8, comm->world->sent[r], count * 8);
    LEAVE(meet(comm->world))
}
