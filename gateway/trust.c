#include "gateway/trust.h"

#include <stdlib.h>

enum sg_rc sg_trust_of(const struct sg_config *config, struct sg_tls_trust **ret,
                       struct sg_err *err)
{
    struct sg_tls_ca *cas = calloc(config->client_ca_count, sizeof(*cas));
    if (cas == NULL)
        return SG_FAIL(err, SG_E_INTERNAL, 0, "could not allocate the client CAs");
    for (size_t i = 0; i < config->client_ca_count; i++)
        cas[i] = (struct sg_tls_ca){.name = config->client_cas[i].name,
                                    .file = config->client_cas[i].file,
                                    .crl_file = config->client_cas[i].crl_file};
    enum sg_rc rc = sg_tls_trust_load(cas, config->client_ca_count, config->crl_required, ret, err);
    free(cas);
    return rc;
}
