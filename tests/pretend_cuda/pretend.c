/* A CUDA that allocates and copies in the host's memory, counts what is asked of it, and computes nothing.

pretend.py makes a stub that returns 0 of every other function that onnxruntime's CUDA provider takes from NVIDIA's libraries.
What stands here is what must do something for the provider to load graphs and run them. */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <driver_types.h>

enum { LAUNCHES, UP, DOWN, UP_BYTES, DOWN_BYTES, GRAPHS, SYNCS, ALLOCATIONS, KINDS };
static long counted[KINDS];
static long left = -1; /* bytes that may still be allocated; -1: any number */

long *pretend_counts(void) { return counted; }
void pretend_memory(long bytes) { left = bytes; }
static useconds_t waits; /* how long a device takes for what is waited for */
void pretend_waits(long microseconds) { waits = (useconds_t)microseconds; }

/* Launches. */
int __cudaLaunchKernel(void) { counted[LAUNCHES]++; return 0; }
int cudaLaunchKernel(void) { counted[LAUNCHES]++; return 0; }
int cudaLaunchKernelExC(void) { counted[LAUNCHES]++; return 0; }
int cudaLaunchCooperativeKernel(void) { counted[LAUNCHES]++; return 0; }
int cudaGraphLaunch(void) { counted[GRAPHS]++; return 0; }
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
int cudaMemcpyAsync(void *to, void *from, size_t bytes, int way, void *stream) { copied(to, from, bytes, way); return 0; }
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
int cudaStreamSynchronize(void *stream) { counted[SYNCS]++; if (waits) usleep(waits); return 0; }
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
