// Loaded before libc into a worker: from the moment that the file TEST_CUT_FILE exists, the way from this process to port TEST_CUT_PORT is cut. Connections that
// it opened end, new ones are refused. What comes from there, and every other way, is untouched.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_int is_cut;

static int is_there(const struct sockaddr *address)
{
    if (address->sa_family != AF_INET && address->sa_family != AF_INET6) return 0;
    const char *port = getenv("TEST_CUT_PORT");
    return port && ntohs(((const struct sockaddr_in *)address)->sin_port) == atoi(port); // the port lies at the same place in both
}

int connect(int socket, const struct sockaddr *address, socklen_t length)
{
    static int (*next)(int, const struct sockaddr *, socklen_t);
    if (!next) next = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect");
    if (is_cut && is_there(address))
    {
        errno = ECONNREFUSED;
        return -1;
    }
    return next(socket, address, length);
}

static void *wait_for_cut(void *unused)
{
    (void)unused;
    while (access(getenv("TEST_CUT_FILE"), F_OK) != 0) usleep(1000);
    is_cut = 1;
    for (int socket = 0; socket < 4096; socket++)
    {
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        if (getpeername(socket, (struct sockaddr *)&peer, &length) == 0 && is_there((struct sockaddr *)&peer)) shutdown(socket, SHUT_RDWR);
    }
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    pthread_t thread;
    if (getenv("TEST_CUT_FILE") && getenv("TEST_CUT_PORT")) pthread_create(&thread, 0, wait_for_cut, 0);
}
