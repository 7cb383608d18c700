#ifndef SG_BASE_CLEANUP_H
#define SG_BASE_CLEANUP_H

/* Runs `destroy##p` when the variable leaves scope. Initialise it where declared. */
#define SG_AUTO(destroy) __attribute__((cleanup(destroy##p)))

/* Every sg_x_free() accepts NULL; this makes the pointer-to-pointer form SG_AUTO needs. */
#define SG_DEFINE_AUTO(type, destroy)                                                              \
    static inline void destroy##p(type **slot)                                                     \
    {                                                                                              \
        destroy(*slot);                                                                            \
        *slot = (void *)0;                                                                         \
    }                                                                                              \
    struct sg_auto_needs_semicolon_

/* Moves ownership out of an SG_AUTO variable: the value is yours, the variable is NULL. */
#define SG_STEAL(var)                                                                              \
    __extension__({                                                                                \
        __typeof__(var) stolen_ = (var);                                                           \
        (var) = (void *)0;                                                                         \
        stolen_;                                                                                   \
    })

#endif
