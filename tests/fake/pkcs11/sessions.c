#include <pthread.h>
#include <stdlib.h>

#include "tests/fake/pkcs11/faultp11_priv.h"

/*
 * The sessions of this process by the real module's handles. What is over is kept for the next
 * one and never freed, so that a thread that still uses a session which another has closed reads
 * something that is nobody's, and not freed memory.
 */
enum { BUCKETS = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault_session *buckets[BUCKETS], *spare;
static uint32_t session_count;

struct fault_session *fault_session_new(CK_SESSION_HANDLE real, CK_SLOT_ID slot)
{
    pthread_mutex_lock(&lock);
    struct fault_session *session = spare;
    if (session != NULL)
        spare = session->next;
    else
        session = malloc(sizeof(*session));
    if (session != NULL) {
        *session = (struct fault_session){
            .real = real, .slot = slot, .how.synthetic = -1, .next = buckets[real % BUCKETS]};
        buckets[real % BUCKETS] = session;
        fault_control->sessions = ++session_count;
    }
    pthread_mutex_unlock(&lock);
    return session;
}

struct fault_session *fault_session_of(CK_SESSION_HANDLE real)
{
    pthread_mutex_lock(&lock);
    struct fault_session *session = buckets[real % BUCKETS];
    while (session != NULL && session->real != real)
        session = session->next;
    pthread_mutex_unlock(&lock);
    return session;
}

/* All of a bucket for which it holds: `real` is its handle, or `slot` its slot, or neither counts.
 */
static void end_in_bucket_locked(size_t at, const CK_SESSION_HANDLE *real, const CK_SLOT_ID *slot)
{
    for (struct fault_session **link = &buckets[at]; *link != NULL;) {
        struct fault_session *session = *link;
        if ((real != NULL && session->real != *real) || (slot != NULL && session->slot != *slot)) {
            link = &session->next;
            continue;
        }
        *link = session->next;
        free(session->search.real);
        session->search = (struct fault_search){0};
        session->next = spare;
        spare = session;
        fault_control->sessions = --session_count;
    }
}

void fault_session_end(CK_SESSION_HANDLE real)
{
    pthread_mutex_lock(&lock);
    end_in_bucket_locked(real % BUCKETS, &real, NULL);
    pthread_mutex_unlock(&lock);
}

void fault_sessions_end(const CK_SLOT_ID *slot)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < BUCKETS; i++)
        end_in_bucket_locked(i, NULL, slot);
    pthread_mutex_unlock(&lock);
}

uint32_t fault_session_count(void)
{
    pthread_mutex_lock(&lock);
    uint32_t count = session_count;
    pthread_mutex_unlock(&lock);
    return count;
}
