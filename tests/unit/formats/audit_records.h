#ifndef SG_TESTS_UNIT_FORMATS_AUDIT_RECORDS_H
#define SG_TESTS_UNIT_FORMATS_AUDIT_RECORDS_H

#include "formats/audit/record.h"

/* Records of the audit log, with the bytes that Google's protobuf makes of them. */
struct test_record {
    const char *name;
    struct sg_audit_record record;
    const char *hex;
};

#define ONES "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"
#define TWOS "\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2\2"
#define THREES "\3\3\3\3\3\3\3\3\3\3\3\3\3\3\3\3"
#define FOURS "\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4\4"
#define FIVES "\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5\5"
#define SIXES "\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6\6"
#define SEVENS "\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7\7"
#define BYTES(literal)                                                                             \
    {                                                                                              \
        (const uint8_t *)(literal), sizeof(literal) - 1                                            \
    }

static const struct test_record test_records[] = {
    {"every field",
     {.event = SG_AUDIT_SIGNATURE,
      .time_ns = 1795388400123456789,
      .authority = BYTES("staff"),
      .caller = BYTES("spiffe://example.vn/back-office"),
      .source = BYTES("192.0.2.7"),
      .method = BYTES("sealgate.v1.SigningService/Sign"),
      .request_id = BYTES("0193526e-8c00-7abc-8def-0123456789ab"),
      .request_sha256 = BYTES(ONES),
      .rule_set = BYTES("configured-list"),
      .rule = BYTES("row-3"),
      .grants = {BYTES("so-y"), BYTES("s\u1ed1 12/Q\u0110")},
      .grant_count = 2,
      .key_version = BYTES("keys/thue/versions/2"),
      .public_key_sha256 = BYTES(TWOS),
      .scheme = SG_SCHEME_ECDSA,
      .encoding = SG_ENCODING_DER,
      .digest_alg = SG_DIGEST_SHA384,
      .digest = BYTES(THREES THREES THREES),
      .document_digest_alg = SG_DIGEST_SHA256,
      .document_digest = BYTES(FOURS),
      .document_number = BYTES("12/TB-CCT"),
      .purpose = BYTES("notice"),
      .signature = BYTES(FIVES FIVES),
      .token = BYTES("hsm-a"),
      .reason = BYTES("NONE"),
      .count = 300,
      .detail = BYTES("ghi ch\u00fa")},
     "080110021a0b08f0e78dd80610959aef3a220573746166662a1f7370696666653a2f2f6578616d706c652e76"
     "6e2f6261636b2d6f666669636532093139322e302e322e373a1f7365616c676174652e76312e5369676e696e"
     "67536572766963652f5369676e422430313933353236652d386330302d376162632d386465662d3031323334"
     "353637383961624a200101010101010101010101010101010101010101010101010101010101010101520f63"
     "6f6e666967757265642d6c6973745a05726f772d336204736f2d79620b73e1bb912031322f51c4906a146b65"
     "79732f746875652f76657273696f6e732f327220020202020202020202020202020202020202020202020202"
     "0202020202020202780380010188010292013003030303030303030303030303030303030303030303030303"
     "0303030303030303030303030303030303030303030303980101a20120040404040404040404040404040404"
     "0404040404040404040404040404040404aa010931322f54422d434354b201066e6f74696365ba0146050505"
     "0505050505050505050505050505050505050505050505050505050505050505050505050505050505050505"
     "0505050505050505050505050505050505050505050505c2010568736d2d61ca01044e4f4e45d001ac02da01"
     "08676869206368c3ba"},
    {"Ed25519, at a whole second",
     {.event = SG_AUDIT_SIGNATURE,
      .time_ns = 1795388400000000000,
      .scheme = SG_SCHEME_ED25519,
      .digest = BYTES(SIXES),
      .signature = BYTES(SEVENS SEVENS)},
     "080110021a0608f0e78dd8067804920120060606060606060606060606060606060606060606060606060606"
     "0606060606ba0140070707070707070707070707070707070707070707070707070707070707070707070707"
     "07070707070707070707070707070707070707070707070707070707"},
    {"the largest count, just after 1970 began",
     {.event = SG_AUDIT_DENIALS, .time_ns = 5, .reason = BYTES("NOT_ALLOWED"), .count = UINT64_MAX},
     "080110041a021005ca010b4e4f545f414c4c4f574544d001ffffffffffffffffff01"},
    {"the smallest", {.event = SG_AUDIT_LOG_STARTED}, "08011001"},
};

#endif
