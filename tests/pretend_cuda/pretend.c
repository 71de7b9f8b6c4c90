/* A CUDA that allocates and copies in the host's memory, counts what is asked of it, and computes nothing.

pretend.py makes a stub that returns 0 of every other function that onnxruntime's CUDA provider takes from NVIDIA's libraries.
What stands here is what must do something for the provider to load graphs and run them. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <driver_types.h>

enum { LAUNCHES, UP, DOWN, UP_BYTES, DOWN_BYTES, GRAPHS, SYNCS, ALLOCATIONS, BUSY, KINDS }; /* BUSY: nanoseconds */
static long counted[KINDS];
static long left = -1; /* bytes that may still be allocated; -1: any number */

long *pretend_counts(void) { return counted; }
void pretend_memory(long bytes) { left = bytes; }

/* Time. The device does one launch after the other, whatever streams they are in, and takes as long for each. The clock is
that of the wall, or one that others who share the machine do not move: the processor time of this process, as if it had one
core, and the time in which all its threads wait, which passes at once. */
enum { STREAMS = 256 };
static long works;           /* nanoseconds a launch */
static int own_clock;
static int64_t skipped;      /* nanoseconds in which all threads waited */
static int64_t looking;      /* nanoseconds of processor time that looking for them has taken */
static int64_t free_at;      /* when the device has done all that was launched */
static struct { void *stream; int64_t end; } streams[STREAMS]; /* when it has done what each stream was given */
static pthread_mutex_t timed = PTHREAD_MUTEX_INITIALIZER;
void pretend_works(long nanoseconds, int own) { works = nanoseconds; own_clock = own; }
static int64_t read_clock(clockid_t which) {
    struct timespec time;
    clock_gettime(which, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}
static int64_t now(void) {
    return own_clock ? read_clock(CLOCK_PROCESS_CPUTIME_ID) + skipped - looking : read_clock(CLOCK_MONOTONIC);
}
long pretend_clock(void) { return now(); }
static int64_t *end_of(void *stream) {
    for (int at = 0; at < STREAMS - 1; at++) {
        if (!streams[at].end) streams[at].stream = stream;
        if (streams[at].stream == stream) return &streams[at].end;
    }
    return &streams[STREAMS - 1].end;
}
static long captured = -1; /* the launches of the graph that is being captured; -1: none is */
static int launched(void *stream, long kernels) {
    if (captured >= 0) return captured += kernels, 0;
    counted[LAUNCHES] += kernels;
    if (!works) return 0;
    pthread_mutex_lock(&timed);
    int64_t time = now();
    free_at = (time > free_at ? time : free_at) + kernels * works;
    *end_of(stream) = free_at;
    counted[BUSY] += kernels * works;
    pthread_mutex_unlock(&timed);
    return 0;
}
static int others_run(void) { /* whether a thread but this one computes, or would if it had a processor */
    long self = syscall(SYS_gettid);
    DIR *threads = opendir("/proc/self/task");
    int found = 0;
    for (struct dirent *one; !found && (one = readdir(threads));) {
        char path[300], text[512];
        if (one->d_name[0] == '.' || atol(one->d_name) == self) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", one->d_name);
        int file = open(path, O_RDONLY);
        if (file < 0) continue;
        long size = read(file, text, sizeof text - 1);
        close(file);
        if (size <= 0) continue;
        text[size] = 0;
        char *end = strrchr(text, ')');
        found = end && end[2] == 'R';
    }
    closedir(threads);
    return found;
}
static void done(void *stream) {
    if (!works) return;
    pthread_mutex_lock(&timed);
    int64_t end = *end_of(stream);
    pthread_mutex_unlock(&timed);
    if (!own_clock) {
        struct timespec until = {end / 1000000000, end % 1000000000};
        if (end > now()) clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, 0);
        return;
    }
    static pthread_mutex_t one_looks = PTHREAD_MUTEX_INITIALIZER;
    static int64_t waiting[STREAMS]; /* until when each thread waits; 0: none does */
    int own = 0;
    for (int over = 0; !over;) {
        int64_t begun = read_clock(CLOCK_THREAD_CPUTIME_ID);
        pthread_mutex_lock(&one_looks);
        while (own < STREAMS - 1 && waiting[own] && waiting[own] != end) own++;
        waiting[own] = end;
        int64_t time = now(), soonest = end;
        for (int at = 0; at < STREAMS; at++)
            if (waiting[at] && waiting[at] < soonest) soonest = waiting[at];
        if (soonest > time && !others_run()) skipped += soonest - time;
        over = now() >= end;
        if (over) waiting[own] = 0;
        pthread_mutex_unlock(&one_looks);
        if (!over) usleep(100);
        looking += read_clock(CLOCK_THREAD_CPUTIME_ID) - begun;
    }
}

/* Launches. */
struct size { unsigned x, y, z; };
int __cudaLaunchKernel(void *kernel, struct size grid, struct size block, void **given, size_t shared, void *stream) {
    return launched(stream, 1);
}
int cudaLaunchKernel(void *kernel, struct size grid, struct size block, void **given, size_t shared, void *stream) {
    return launched(stream, 1);
}
int cudaLaunchKernelExC(cudaLaunchConfig_t *how, void *kernel, void **given) { return launched(how->stream, 1); }
int cudaLaunchCooperativeKernel(void *kernel, struct size grid, struct size block, void **given, size_t shared, void *stream) {
    return launched(stream, 1);
}
int cudaStreamBeginCapture(void *stream, int mode) { captured = 0; return 0; }
int cudaStreamEndCapture(void *stream, void **graph) {
    *(long *)(*graph = malloc(4096)) = captured;
    captured = -1;
    return 0;
}
int cudaGraphInstantiate(void **made, void *graph, unsigned long long flags) { return *(long *)(*made = malloc(4096)) = *(long *)graph, 0; }
int cudaGraphLaunch(void *made, void *stream) {
    counted[GRAPHS]++;
    counted[LAUNCHES] -= *(long *)made; /* the device has their work, and the host does not */
    return launched(stream, *(long *)made);
}
int cudaLaunchHostFunc(void *stream, void (*call)(void *), void *data) { call(data); return 0; }
void **__cudaRegisterFatBinary(void *binary) { static void *handle[2]; return handle; }
int __cudaGetKernel(void **kernel, void *function) { *kernel = function; return 0; }

/* Memory. */
static int room(void **place, size_t bytes) {
    if (left >= 0) {
        if ((long)bytes > left) return 2; /* cudaErrorMemoryAllocation */
        left -= (long)bytes;
    }
    counted[ALLOCATIONS]++;
    *place = aligned_alloc(256, (bytes + 511) / 256 * 256);
    return *place ? (memset(*place, 0, bytes), 0) : 2;
}
int cudaMalloc(void **place, size_t bytes) { return room(place, bytes); }
int cudaMallocFromPoolAsync(void **place, size_t bytes, void *pool, void *stream) { return room(place, bytes); }
int cudaHostAlloc(void **place, size_t bytes, unsigned flags) { return room(place, bytes); }
int cudaMallocHost(void **place, size_t bytes) { return room(place, bytes); }
int cudaFree(void *place) { free(place); return 0; }
int cudaFreeAsync(void *place, void *stream) { free(place); return 0; }
int cudaFreeHost(void *place) { free(place); return 0; }
int cudaMemGetInfo(size_t *unused, size_t *all) { *unused = (size_t)64 << 30; *all = (size_t)80 << 30; return 0; }
static void copied(void *to, const void *from, size_t bytes, int way) {
    if (way == cudaMemcpyHostToDevice) counted[UP]++, counted[UP_BYTES] += (long)bytes;
    if (way == cudaMemcpyDeviceToHost) counted[DOWN]++, counted[DOWN_BYTES] += (long)bytes;
    memmove(to, from, bytes);
}
int cudaMemcpy(void *to, void *from, size_t bytes, int way) { copied(to, from, bytes, way); return 0; }
int cudaMemcpyAsync(void *to, void *from, size_t bytes, int way, void *stream) {
    if (way == cudaMemcpyDeviceToHost) done(stream); /* into memory that may be paged out, it waits */
    copied(to, from, bytes, way);
    return 0;
}
int cudaMemcpy2DAsync(char *to, size_t step, char *from, size_t stride, size_t width, size_t rows, int way, void *stream) {
    for (size_t row = 0; row < rows; row++) copied(to + row * step, from + row * stride, width, way);
    return 0;
}
int cudaMemset(void *place, int value, size_t bytes) { memset(place, value, bytes); return 0; }
int cudaMemsetAsync(void *place, int value, size_t bytes, void *stream) { memset(place, value, bytes); return 0; }
int cudaPointerGetAttributes(struct cudaPointerAttributes *found, void *place) {
    memset(found, 0, sizeof *found);
    found->type = cudaMemoryTypeDevice;
    found->devicePointer = place;
    return 0;
}

/* Waiting. */
int cudaStreamSynchronize(void *stream) { counted[SYNCS]++; done(stream); return 0; }
int cudaStreamIsCapturing(void *stream, int *status) { *status = 0; return 0; }
int cudaEventElapsedTime(float *milliseconds, void *from, void *to) { *milliseconds = 0.01f; return 0; }

/* The device. */
int cuDeviceGetCount(int *count) { *count = 1; return 0; }
int cudaGetDeviceCount(int *count) { *count = 1; return 0; }
int cudaGetDevice(int *device) { *device = 0; return 0; }
int cudaDriverGetVersion(int *version) { *version = 13000; return 0; }
int cudaRuntimeGetVersion(int *version) { *version = 13000; return 0; }
int cudaDeviceGetAttribute(int *value, int which, int device) {
    *value = which == cudaDevAttrComputeCapabilityMajor        ? 9
             : which == cudaDevAttrComputeCapabilityMinor      ? 0
             : which == cudaDevAttrMultiProcessorCount         ? 100
             : which == cudaDevAttrMaxThreadsPerBlock          ? 1024
             : which == cudaDevAttrWarpSize                    ? 32
             : which == cudaDevAttrMaxSharedMemoryPerBlock     ? 48 << 10
             : which == cudaDevAttrMaxSharedMemoryPerBlockOptin ? 227 << 10
                                                               : 1;
    return 0;
}
int cudaGetDeviceProperties(struct cudaDeviceProp *found, int device) {
    memset(found, 0, sizeof *found);
    strcpy(found->name, "pretended");
    found->major = 9;
    found->warpSize = 32;
    found->multiProcessorCount = 100;
    found->totalGlobalMem = (size_t)80 << 30;
    found->maxThreadsPerBlock = found->maxThreadsDim[0] = found->maxThreadsDim[1] = 1024;
    found->maxThreadsDim[2] = 64;
    found->maxGridSize[0] = 0x7fffffff;
    found->maxGridSize[1] = found->maxGridSize[2] = 0xffff;
    found->maxThreadsPerMultiProcessor = 2048;
    found->sharedMemPerBlock = 48 << 10;
    found->sharedMemPerBlockOptin = found->sharedMemPerMultiprocessor = 227 << 10;
    found->regsPerBlock = 65536;
    return 0;
}
int cudaFuncGetAttributes(struct cudaFuncAttributes *found, void *function) {
    memset(found, 0, sizeof *found);
    found->maxThreadsPerBlock = 1024;
    found->numRegs = 32;
    found->binaryVersion = found->ptxVersion = 90;
    return 0;
}
int cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int *blocks) { *blocks = 2; return 0; }
int cudaMemPoolGetAttribute(void *pool, int which, uint64_t *value) { *value = 0; return 0; }
int cudaGetDriverEntryPointByVersion(char *name, void **function, unsigned version, unsigned long long flags, int *status) {
    *function = 0;
    if (status) *status = 1;
    return 0;
}
const char *cudaGetErrorString(int error) { return error == 2 ? "out of memory" : "pretended"; }
const char *cudaGetErrorName(int error) { return "pretended"; }

/* What is asked how large something is, or where. */
size_t cudnnGetVersion(void) { return 91900; }
const char *cudnnGetErrorString(int status) { return "pretended"; }
void cudnnGetLastErrorString(char *text, size_t size) { if (size) *text = 0; }
int cudnnGetStream(void *handle, void **stream) { *stream = 0; return 0; }
int cudnnDropoutGetStatesSize(void *handle, size_t *bytes) { *bytes = 256; return 0; }
int cudnnGetReductionIndicesSize(void *handle, void *how, void *from, void *to, size_t *bytes) { *bytes = 256; return 0; }
int cudnnGetReductionWorkspaceSize(void *handle, void *how, void *from, void *to, size_t *bytes) { *bytes = 256; return 0; }
int cudnnGetConvolutionForwardWorkspaceSize(void *h, void *x, void *w, void *c, void *y, int how, size_t *bytes) { *bytes = 256; return 0; }
int cudnnGetRNNTempSpaceSizes(void *handle, void *network, int mode, void *given, size_t *work, size_t *reserve) {
    if (work) *work = 1024;
    if (reserve) *reserve = 1024;
    return 0;
}
int cudnnGetRNNWeightParams(void *h, void *d, int layer, size_t bytes, void *space, int part, void *mo, void **matrix, void *bo, void **bias) {
    *matrix = *bias = space;
    return 0;
}
int cudnnGetTensorNdDescriptor(void *tensor, int asked, int *type, int *axes, int *sizes, int *strides) {
    *type = 0;
    *axes = 3;
    for (int at = 0; at < 3 && at < asked; at++) sizes[at] = strides[at] = 1;
    return 0;
}
int cublasGetMathMode(void *handle, int *mode) { *mode = 0; return 0; }
const char *cublasGetStatusString(int status) { return "pretended"; }
const char *cublasGetStatusName(int status) { return "pretended"; }
int cublasLtMatmulAlgoGetHeuristic(void *h, void *o, void *a, void *b, void *c, void *d, void *p, int most, void *found, int *count) {
    memset(found, 0, 96);
    *count = 1;
    return 0;
}
