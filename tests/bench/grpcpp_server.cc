// grpc++ doing what null_gateway does: its asynchronous API, one completion queue, one thread, TLS
// with the same certificate, the same method of the same .proto, an answer with the same fields.
// As there, the caller is known by its client certificate, and each call is decided by who calls
// and which key it names.
//
// It does less, to its own advantage: it looks at no CRL, and at no date of the certificate after
// the handshake; it computes no CRC and counts nothing.
//
//     grpcpp_server PORT PKI-FOLDER SECONDS
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include <grpc/grpc_security_constants.h>
#include <grpcpp/grpcpp.h>
#include <sealgate/v1/signing.grpc.pb.h>

namespace v1 = sealgate::v1;
using grpc::Status;
using grpc::StatusCode;

// As many calls as can be under way, so that none waits for the next to be asked for.
enum { kCallsWaiting = 512 };

static const std::string kSignature(71, '\x30');

// What a caller may do, by the URI of its certificate.
struct Row {
    std::string name;
    std::unordered_set<std::string> methods, keys;
};

static const std::string kMethod = "sealgate.v1.SigningService/Sign";
static const std::unordered_map<std::string, Row> kRows = {
    {"spiffe://dev.sealgate.local/client/dev", {"dev", {kMethod}, {"dev-p256", "dev-rsa2048"}}},
    {"spiffe://dev.sealgate.local/client/guest", {"guest", {kMethod}, {"dev-p256"}}},
};

// One call after the other: asked for, answered, and made anew.
class Call
{
  public:
    Call(v1::SigningService::AsyncService *service, grpc::ServerCompletionQueue *queue)
        : service_(service), queue_(queue), responder_(&context_)
    {
        service_->RequestSign(&context_, &request_, &responder_, queue_, queue_, this);
    }

    // The next event of this call; false: it is over.
    bool proceed(bool ok)
    {
        if (!ok || is_answered_)
            return false;
        new Call(service_, queue_);
        is_answered_ = true;
        answer();
        return true;
    }

  private:
    // Who calls, and what it may do; null: nobody, or nothing.
    const Row *row() const
    {
        const auto auth = context_.auth_context();
        const auto uris = auth->FindPropertyValues(GRPC_PEER_URI_PROPERTY_NAME);
        if (!auth->IsPeerAuthenticated() || uris.size() != 1)
            return nullptr;
        const auto found = kRows.find(std::string(uris[0].data(), uris[0].size()));
        return found == kRows.end() || found->second.methods.count(kMethod) == 0 ? nullptr
                                                                                 : &found->second;
    }

    Status check(const Row *row) const
    {
        static const std::string prefix = "keys/";
        if (row == nullptr)
            return Status(StatusCode::PERMISSION_DENIED, "this identity may not call Sign");
        if (request_.key().compare(0, prefix.size(), prefix) != 0 ||
            row->keys.count(request_.key().substr(prefix.size())) == 0)
            return Status(StatusCode::NOT_FOUND, "there is no such key for this caller");
        if (!request_.GetReflection()->GetUnknownFields(request_).empty())
            return Status(StatusCode::INVALID_ARGUMENT, "a field that is not known");
        if (request_.digest().algorithm() != v1::DIGEST_ALGORITHM_SHA256 ||
            request_.digest().value().size() != 32)
            return Status(StatusCode::INVALID_ARGUMENT, "a SHA-256 digest has 32 bytes");
        return Status::OK;
    }

    void answer()
    {
        const auto start = std::chrono::steady_clock::now();
        const Row *const caller = row();
        const Status status = check(caller);
        if (!status.ok()) {
            responder_.FinishWithError(status, this);
            return;
        }
        v1::SignResponse response;
        response.set_signature(kSignature);
        response.set_signature_crc32c(0x12345678);
        response.set_key_version(request_.key() + "/versions/1");
        response.mutable_algorithm()->set_scheme(v1::SIGNATURE_SCHEME_ECDSA);
        response.mutable_algorithm()->set_digest(v1::DIGEST_ALGORITHM_SHA256);
        response.set_encoding(v1::SIGNATURE_ENCODING_DER);
        auto now = std::chrono::system_clock::now().time_since_epoch();
        auto ns = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
        response.mutable_sign_time()->set_seconds(ns / 1000000000);
        response.mutable_sign_time()->set_nanos(static_cast<int>(ns % 1000000000));
        response.mutable_decision()->set_rule_set("configured-list");
        response.mutable_decision()->set_rule(caller->name);
        response.mutable_timing()->set_total_us(
            static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                      std::chrono::steady_clock::now() - start)
                                      .count()));
        response.set_verified_content_crc32c(request_.has_content_crc32c());
        responder_.Finish(response, Status::OK, this);
    }

    v1::SigningService::AsyncService *service_;
    grpc::ServerCompletionQueue *queue_;
    grpc::ServerContext context_;
    v1::SignRequest request_;
    grpc::ServerAsyncResponseWriter<v1::SignResponse> responder_;
    bool is_answered_ = false;
};

static std::string read(const std::string &path)
{
    std::ifstream file(path);
    std::stringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        std::cerr << "usage: grpcpp_server PORT PKI-FOLDER SECONDS\n";
        return 2;
    }
    const std::string pki = argv[2];
    alarm(static_cast<unsigned>(std::atoi(argv[3])));

    v1::SigningService::AsyncService service;
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = read(pki + "/ca.pem");
    options.pem_key_cert_pairs.push_back({read(pki + "/server.key"), read(pki + "/server.pem")});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:" + std::string(argv[1]),
                             grpc::SslServerCredentials(options));
    builder.RegisterService(&service);
    auto queue = builder.AddCompletionQueue();
    auto server = builder.BuildAndStart();
    if (server == nullptr)
        return 1;
    for (int i = 0; i < kCallsWaiting; i++)
        new Call(&service, queue.get());
    std::cout << "ready" << std::endl;

    void *tag;
    bool ok;
    while (queue->Next(&tag, &ok)) {
        auto *call = static_cast<Call *>(tag);
        if (!call->proceed(ok))
            delete call;
    }
    return 0;
}
