/* Counts kernel launches and waits of the CUDA runtime: preloaded, it stands before the runtime's own functions and calls them.
   cc -shared -fPIC -O2 -o liblaunches.so launches.c -ldl */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

typedef struct { unsigned x, y, z; } dim;

static long counts[2];

__attribute__((visibility("default"))) long dpo_count(int which) { return __atomic_load_n(&counts[which], __ATOMIC_RELAXED); }

static void *next(const char *name, void **kept) { return *kept ? *kept : (*kept = dlsym(RTLD_NEXT, name)); }

static void one(int which) { __atomic_fetch_add(&counts[which], 1, __ATOMIC_RELAXED); }

int cudaLaunchKernel(const void *f, dim grid, dim block, void **args, size_t shared, void *stream)
{
    static void *kept;
    one(0);
    return ((int (*)(const void *, dim, dim, void **, size_t, void *))next("cudaLaunchKernel", &kept))(f, grid, block, args, shared, stream);
}

/* What CUDA 13's compiler calls in its place. */
int __cudaLaunchKernel(void *f, dim grid, dim block, void **args, size_t shared, void *stream)
{
    static void *kept;
    one(0);
    return ((int (*)(void *, dim, dim, void **, size_t, void *))next("__cudaLaunchKernel", &kept))(f, grid, block, args, shared, stream);
}

int cudaLaunchKernelExC(const void *config, const void *f, void **args)
{
    static void *kept;
    one(0);
    return ((int (*)(const void *, const void *, void **))next("cudaLaunchKernelExC", &kept))(config, f, args);
}

int cudaStreamSynchronize(void *stream)
{
    static void *kept;
    one(1);
    return ((int (*)(void *))next("cudaStreamSynchronize", &kept))(stream);
}
