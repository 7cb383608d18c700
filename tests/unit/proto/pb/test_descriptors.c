#include "descriptors.h"

#include "tests/support/unit.h"

static const struct sg_proto_file *file(const char *name)
{
    return sg_descriptors_file(&sg_descriptors, sg_slice_str(name));
}

/* Whether the first `count` of `files` hold `name`. */
static bool holds(const struct sg_proto_file **files, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i]->name, name) == 0)
            return true;
    return false;
}

static void files_are_found_by_their_exact_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sg_descriptors.file_count; i++)
        assert_ptr_equal(file(sg_descriptors.files[i].name), &sg_descriptors.files[i]);
    static const char *const absent[] = {
        "",
        "sealgate/v1/signing.prot",
        "sealgate/v1/signing.protox",
        "/sealgate/v1/types.proto",
        "zzz",
        "google/protobuf/descriptor.proto",
    };
    for (size_t i = 0; i < SG_COUNT(absent); i++)
        assert_null(file(absent[i]));
}

/* FileDescriptorProto.name is field 1, so the bytes begin with it. */
static void the_bytes_of_a_file_are_its_descriptor(void **state)
{
    (void)state;
    for (size_t i = 0; i < sg_descriptors.file_count; i++) {
        const struct sg_proto_file *entry = &sg_descriptors.files[i];
        size_t len = strlen(entry->name);
        assert_true(entry->bytes.len > len + 2);
        assert_int_equal(entry->bytes.ptr[0], 0x0A);
        assert_int_equal(entry->bytes.ptr[1], len);
        assert_memory_equal(entry->bytes.ptr + 2, entry->name, len);
    }
}

static void symbols_of_every_kind_lead_to_their_file(void **state)
{
    (void)state;
    static const struct {
        const char *symbol, *file;
        bool is_message;
    } rows[] = {
        {"sealgate.v1.SigningService", "sealgate/v1/signing.proto", false},
        {"sealgate.v1.SigningService.Sign", "sealgate/v1/signing.proto", false},
        {"sealgate.v1.SignRequest", "sealgate/v1/signing.proto", true},
        {"sealgate.v1.SignRequest.key", "sealgate/v1/signing.proto", false},
        {"sealgate.v1.SignRequest.content", "sealgate/v1/signing.proto", false},
        {"sealgate.v1.KeyType", "sealgate/v1/types.proto", false},
        {"sealgate.v1.KEY_TYPE_EC_P256", "sealgate/v1/types.proto", false},
        {"grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc/health/v1/health.proto", false},
        {"grpc.health.v1.HealthCheckResponse.SERVING", "grpc/health/v1/health.proto", false},
        {"google.rpc.BadRequest.FieldViolation", "google/rpc/error_details.proto", true},
        {"google.rpc.ErrorInfo.MetadataEntry", "google/rpc/error_details.proto", true},
        {"google.protobuf.Any", "google/protobuf/any.proto", true},
        {"sealgate.v1", NULL, false},
        {".sealgate.v1.SignRequest", NULL, false},
        {"sealgate.v1.Sign", NULL, false},
        {"", NULL, false},
    };
    for (size_t i = 0; i < SG_COUNT(rows); i++) {
        print_message("  \"%s\"\n", rows[i].symbol);
        const struct sg_proto_symbol *symbol =
            sg_descriptors_symbol(&sg_descriptors, sg_slice_str(rows[i].symbol));
        if (rows[i].file == NULL) {
            assert_null(symbol);
            continue;
        }
        assert_non_null(symbol);
        assert_string_equal(sg_descriptors.files[symbol->file].name, rows[i].file);
        assert_int_equal(symbol->is_message, rows[i].is_message);
    }
}

static void a_symbol_with_a_nul_behind_it_is_not_found(void **state)
{
    (void)state;
    struct sg_slice name = SG_SLICE("sealgate.v1.SignRequest\0");
    assert_null(sg_descriptors_symbol(&sg_descriptors, name));
}

static void the_closure_begins_with_the_file_and_has_every_import_once(void **state)
{
    (void)state;
    const struct sg_proto_file *got[SG_PROTO_FILES_MAX];
    sg_proto_file_set sent = 0;
    size_t count =
        sg_descriptors_closure(&sg_descriptors, file("sealgate/v1/signing.proto"), &sent, got);
    assert_int_equal(count, 5);
    assert_string_equal(got[0]->name, "sealgate/v1/signing.proto");
    assert_true(holds(got, count, "google/protobuf/timestamp.proto"));
    assert_true(holds(got, count, "google/rpc/status.proto"));
    assert_true(holds(got, count, "sealgate/v1/types.proto"));
    assert_true(holds(got, count, "google/protobuf/any.proto")); /* by google/rpc/status.proto */
}

static void what_the_stream_has_is_not_sent_again_but_the_file_itself_is(void **state)
{
    (void)state;
    const struct sg_proto_file *got[SG_PROTO_FILES_MAX];
    sg_proto_file_set sent = 0;
    const struct sg_proto_file *signing = file("sealgate/v1/signing.proto");
    (void)sg_descriptors_closure(&sg_descriptors, signing, &sent, got);
    size_t count =
        sg_descriptors_closure(&sg_descriptors, file("sealgate/v1/info.proto"), &sent, got);
    assert_int_equal(count, 2);
    assert_string_equal(got[0]->name, "sealgate/v1/info.proto");
    assert_string_equal(got[1]->name, "google/protobuf/duration.proto");
    assert_int_equal(sg_descriptors_closure(&sg_descriptors, signing, &sent, got), 1);
    assert_ptr_equal(got[0], signing);
}

static void the_services_are_those_of_the_files(void **state)
{
    (void)state;
    static const char *const wanted[] = {
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "sealgate.v1.AuditService",
        "sealgate.v1.InfoService",
        "sealgate.v1.KeyService",
        "sealgate.v1.SigningService",
        "sealgate.v1.TokenService",
        "sealgate.v1.VerificationService",
    };
    assert_int_equal(sg_descriptors.service_count, SG_COUNT(wanted));
    for (size_t i = 0; i < SG_COUNT(wanted); i++) {
        assert_string_equal(sg_descriptors.services[i], wanted[i]);
        assert_non_null(sg_descriptors_symbol(&sg_descriptors, sg_slice_str(wanted[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_found_by_their_exact_name),
        cmocka_unit_test(the_bytes_of_a_file_are_its_descriptor),
        cmocka_unit_test(symbols_of_every_kind_lead_to_their_file),
        cmocka_unit_test(a_symbol_with_a_nul_behind_it_is_not_found),
        cmocka_unit_test(the_closure_begins_with_the_file_and_has_every_import_once),
        cmocka_unit_test(what_the_stream_has_is_not_sent_again_but_the_file_itself_is),
        cmocka_unit_test(the_services_are_those_of_the_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
