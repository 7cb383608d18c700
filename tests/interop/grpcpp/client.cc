// grpc++: what it signs, OpenSSL verifies; what it may not, is refused with a reason.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpc/health/v1/health.grpc.pb.h>
#include <grpcpp/grpcpp.h>
#include <sealgate/v1/keys.grpc.pb.h>
#include <sealgate/v1/signing.grpc.pb.h>

namespace v1 = sealgate::v1;

static const std::string kDocument = "Seen and signed, from C++.";
static int failures;

static void check(bool ok, const std::string &what)
{
    std::cout << (ok ? "ok      " : "FAILED  ") << what << std::endl;
    failures += ok ? 0 : 1;
}

static std::string env(const char *name)
{
    const char *value = std::getenv(name);
    if (value == nullptr)
        throw std::runtime_error(std::string(name) + " is not set");
    return value;
}

static std::string read(const std::string &name)
{
    std::ifstream file(env("INSTANCE_PKI") + "/" + name);
    std::stringstream bytes;
    bytes << file.rdbuf();
    return bytes.str();
}

// A channel as this client; empty: without a client certificate.
static std::shared_ptr<grpc::Channel> open(const std::string &client)
{
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = read("ca.pem");
    if (!client.empty()) {
        options.pem_private_key = read(client + ".key");
        options.pem_cert_chain = read(client + ".pem");
    }
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(env("SEALGATE_ENDPOINT"), grpc::SslCredentials(options),
                                     arguments);
}

// A context whose deadline is this far away.
struct Context : grpc::ClientContext {
    explicit Context(int ms = 10000)
    {
        set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(ms));
    }
};

static const char *hash_name(v1::DigestAlgorithm algorithm)
{
    switch (algorithm) {
    case v1::DIGEST_ALGORITHM_SHA256:
        return "SHA256";
    case v1::DIGEST_ALGORITHM_SHA384:
        return "SHA384";
    case v1::DIGEST_ALGORITHM_SHA512:
        return "SHA512";
    case v1::DIGEST_ALGORITHM_SHA3_256:
        return "SHA3-256";
    case v1::DIGEST_ALGORITHM_SHA3_384:
        return "SHA3-384";
    case v1::DIGEST_ALGORITHM_SHA3_512:
        return "SHA3-512";
    default:
        throw std::runtime_error("the server named a digest that is not in the contract");
    }
}

static v1::Digest digest(v1::DigestAlgorithm algorithm = v1::DIGEST_ALGORITHM_SHA256)
{
    unsigned char value[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    EVP_Digest(kDocument.data(), kDocument.size(), value, &length,
               EVP_get_digestbyname(hash_name(algorithm)), nullptr);
    v1::Digest result;
    result.set_algorithm(algorithm);
    result.set_value(value, length);
    return result;
}

// Whether OpenSSL accepts a DER, RSA or Ed25519 signature over the document itself.
static bool verifies(const std::string &spki, const v1::SignResponse &answer,
                     const std::string &document)
{
    auto bytes = reinterpret_cast<const unsigned char *>(spki.data());
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
        d2i_PUBKEY(nullptr, &bytes, static_cast<long>(spki.size())), EVP_PKEY_free);
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                    EVP_MD_CTX_free);
    EVP_PKEY_CTX *options = nullptr;
    const auto &algorithm = answer.algorithm();
    const EVP_MD *hash = nullptr;
    if (algorithm.scheme() != v1::SIGNATURE_SCHEME_ED25519)
        hash = EVP_get_digestbyname(hash_name(algorithm.digest()));
    if (key == nullptr ||
        EVP_DigestVerifyInit(context.get(), &options, hash, nullptr, key.get()) != 1)
        return false;
    if (algorithm.scheme() == v1::SIGNATURE_SCHEME_RSA_PSS &&
        (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
         EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1))
        return false;
    auto signature = reinterpret_cast<const unsigned char *>(answer.signature().data());
    auto text = reinterpret_cast<const unsigned char *>(document.data());
    return EVP_DigestVerify(context.get(), signature, answer.signature().size(), text,
                            document.size()) == 1;
}

static std::string reason_in(const google::rpc::Status &status)
{
    std::string reason;
    int infos = 0;
    for (const auto &detail : status.details()) {
        google::rpc::ErrorInfo info;
        if (detail.UnpackTo(&info) && info.domain() == "sealgate" && ++infos == 1)
            reason = info.reason();
    }
    return infos == 1 ? reason : "not exactly one ErrorInfo";
}

static std::string reason_of(const grpc::Status &status)
{
    google::rpc::Status details;
    return details.ParseFromString(status.error_details()) ? reason_in(details) : "no details";
}

class Interop
{
  public:
    explicit Interop(const std::shared_ptr<grpc::Channel> &channel)
        : signing_(v1::SigningService::NewStub(channel)), keys_(v1::KeyService::NewStub(channel)),
          health_(grpc::health::v1::Health::NewStub(channel))
    {
    }

    void every_algorithm();
    void ed25519();
    void refusals();
    void batch();
    void stream();
    void health();
    void deadline();
    void refused(const std::string &what, const v1::SignRequest &request, grpc::StatusCode code,
                 const std::string &reason);

  private:
    std::string spki(const std::string &name);
    bool sign(const std::string &name, v1::SignatureScheme scheme, v1::DigestAlgorithm algorithm);

    std::unique_ptr<v1::SigningService::Stub> signing_;
    std::unique_ptr<v1::KeyService::Stub> keys_;
    std::unique_ptr<grpc::health::v1::Health::Stub> health_;
};

std::string Interop::spki(const std::string &name)
{
    Context context;
    v1::GetPublicKeyRequest request;
    v1::PublicKey answer;
    request.set_name(name);
    auto status = keys_->GetPublicKey(&context, request, &answer);
    if (!status.ok())
        throw std::runtime_error("GetPublicKey: " + status.error_message());
    return answer.spki();
}

bool Interop::sign(const std::string &name, v1::SignatureScheme scheme,
                   v1::DigestAlgorithm algorithm)
{
    Context context;
    v1::SignRequest request;
    v1::SignResponse answer;
    request.set_key(name);
    request.set_scheme(scheme);
    *request.mutable_digest() = digest(algorithm);
    auto status = signing_->Sign(&context, request, &answer);
    // SHA-3 is signed where the token can; a refusal says that it cannot.
    if (!status.ok())
        return algorithm >= v1::DIGEST_ALGORITHM_SHA3_256 &&
               reason_of(status) == "ALGORITHM_NOT_SUPPORTED";
    return verifies(spki(name), answer, kDocument) && !verifies(spki(name), answer, "other");
}

void Interop::every_algorithm()
{
    for (const char *name :
         {"keys/dev-rsa2048", "keys/dev-rsa4096", "keys/dev-p256", "keys/dev-p384"}) {
        Context context;
        v1::GetKeyRequest request;
        v1::Key key;
        request.set_name(name);
        auto status = keys_->GetKey(&context, request, &key);
        check(status.ok() && key.schemes_size() > 0 && key.digests_size() >= 3,
              std::string(name) + " is listed with what it can");
        for (int scheme : key.schemes())
            for (int algorithm : key.digests())
                check(sign(name, static_cast<v1::SignatureScheme>(scheme),
                           static_cast<v1::DigestAlgorithm>(algorithm)),
                      std::string(name) + ", scheme " + std::to_string(scheme) + ", " +
                          hash_name(static_cast<v1::DigestAlgorithm>(algorithm)));
    }
}

void Interop::ed25519()
{
    Context context;
    v1::SignRequest request;
    v1::SignResponse answer;
    request.set_key("keys/dev-ed25519");
    request.set_message(kDocument);
    auto status = signing_->Sign(&context, request, &answer);
    check(status.ok() && verifies(spki("keys/dev-ed25519"), answer, kDocument), "Ed25519");
}

void Interop::refused(const std::string &what, const v1::SignRequest &request,
                      grpc::StatusCode code, const std::string &reason)
{
    Context context;
    v1::SignResponse answer;
    auto status = signing_->Sign(&context, request, &answer);
    bool ok = status.error_code() == code && (reason.empty() || reason_of(status) == reason);
    check(ok, what + ": " + std::to_string(status.error_code()) + " " + reason_of(status));
}

static v1::SignRequest good()
{
    v1::SignRequest request;
    request.set_key("keys/dev-p256");
    *request.mutable_digest() = digest();
    return request;
}

void Interop::refusals()
{
    auto request = good();
    request.mutable_digest()->set_value("too short");
    refused("a digest of another length", request, grpc::INVALID_ARGUMENT, "DIGEST_LENGTH");
    request = good();
    request.mutable_digest()->set_algorithm(v1::DIGEST_ALGORITHM_UNSPECIFIED);
    refused("a digest without its algorithm", request, grpc::INVALID_ARGUMENT, "");
    request = good();
    request.set_content_crc32c(1);
    refused("a wrong CRC", request, grpc::INVALID_ARGUMENT, "CRC_MISMATCH");
    request = good();
    request.set_activation("activations/a");
    refused("an activation", request, grpc::INVALID_ARGUMENT, "FIELD_NOT_SERVED");
    request = good();
    request.set_key("keys/nobody-has-this");
    refused("a key that is not there", request, grpc::NOT_FOUND, "KEY_NOT_FOUND");
}

void Interop::batch()
{
    Context context;
    v1::BatchSignRequest request;
    v1::BatchSignResponse answer;
    auto *item = request.add_items();
    item->set_item_id("good");
    *item->mutable_request() = good();
    item = request.add_items();
    item->set_item_id("nobody");
    *item->mutable_request() = good();
    item->mutable_request()->set_key("keys/nobody");
    auto status = signing_->BatchSign(&context, request, &answer);
    bool ok = status.ok() && answer.results_size() == 2 &&
              verifies(spki("keys/dev-p256"), answer.results(0).response(), kDocument) &&
              reason_in(answer.results(1).error()) == "KEY_NOT_FOUND";
    check(ok, "a batch with a refused item");
}

void Interop::stream()
{
    Context context(30000);
    const int count = 64;
    auto stream = signing_->SignStream(&context);
    for (int i = 0; i < count; i++) {
        v1::SignStreamRequest request;
        request.set_item_id(std::to_string(i));
        *request.mutable_request() = good();
        request.mutable_request()->set_key(i % 4 == 0 ? "keys/dev-rsa4096" : "keys/dev-p256");
        stream->Write(request);
    }
    stream->WritesDone();
    std::set<std::string> seen;
    const std::string p256 = spki("keys/dev-p256"), rsa = spki("keys/dev-rsa4096");
    bool all_verify = true;
    v1::SignStreamResponse answer;
    while (stream->Read(&answer)) {
        seen.insert(answer.item_id());
        const auto &key = std::stoi(answer.item_id()) % 4 == 0 ? rsa : p256;
        all_verify = all_verify && verifies(key, answer.response(), kDocument);
    }
    check(stream->Finish().ok() && seen.size() == count && all_verify, "a stream of 64 items");
}

void Interop::health()
{
    using grpc::health::v1::HealthCheckResponse;
    Context context, watch_context;
    grpc::health::v1::HealthCheckRequest request;
    HealthCheckResponse answer;
    auto status = health_->Check(&context, request, &answer);
    check(status.ok() && answer.status() == HealthCheckResponse::SERVING, "health, Check");
    auto watch = health_->Watch(&watch_context, request);
    check(watch->Read(&answer) && answer.status() == HealthCheckResponse::SERVING, "health, Watch");
    watch_context.TryCancel();
    check(watch->Finish().error_code() == grpc::CANCELLED, "health, Watch cancelled");
}

void Interop::deadline()
{
    Context context(50);
    v1::BatchSignRequest request;
    v1::BatchSignResponse answer;
    for (int i = 0; i < 1000; i++) {
        auto *item = request.add_items();
        item->set_item_id(std::to_string(i));
        *item->mutable_request() = good();
        item->mutable_request()->set_key("keys/dev-rsa4096");
    }
    auto status = signing_->BatchSign(&context, request, &answer);
    check(status.error_code() == grpc::DEADLINE_EXCEEDED, "a deadline that passes");
}

int main()
{
    Interop dev(open("dev"));
    dev.every_algorithm();
    dev.ed25519();
    dev.refusals();
    dev.batch();
    dev.stream();
    dev.health();
    dev.deadline();

    Interop nobody(open(""));
    nobody.refused("no client certificate", good(), grpc::UNAUTHENTICATED, "CERT_REQUIRED");
    Interop guest(open("guest"));
    auto others = good();
    others.set_key("keys/dev-p384");
    guest.refused("a guest and another's key", others, grpc::NOT_FOUND, "KEY_NOT_FOUND");
    return failures == 0 ? 0 : 1;
}
