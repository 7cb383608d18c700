#ifndef SG_GATEWAY_NET_LISTENER_H
#define SG_GATEWAY_NET_LISTENER_H

/* The listeners of the services. How a caller is known is a matter of where it connects. */
enum sg_listener {
    SG_LISTENER_CERTIFICATE = 0, /* asks for a client certificate */
    SG_LISTENER_BEARER,          /* asks for none: callers show a bearer token with each call */
    SG_LISTENER_COUNT,
};

/* For logs and metrics. Static storage. */
static inline const char *sg_listener_name(enum sg_listener listener)
{
    return listener == SG_LISTENER_BEARER ? "bearer" : "certificate";
}

#endif
