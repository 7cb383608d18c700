// gRPC's interoperability cases by grpc++: client CASE... The names are those of the descriptions.
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include <grpc/testing/test.grpc.pb.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

namespace pb = grpc::testing;
using Output = pb::StreamingOutputCallRequest;
using Answer = pb::StreamingOutputCallResponse;

static const std::vector<int> kRequestSizes = {27182, 8, 1828, 45904};
static const std::vector<int> kResponseSizes = {31415, 9, 2653, 58979};
static const char kInitial[] = "x-grpc-test-echo-initial";
static const char kTrailing[] = "x-grpc-test-echo-trailing-bin";

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition))                                                                          \
            throw std::runtime_error("line " + std::to_string(__LINE__) + ": not " #condition);    \
    } while (0)

// A context that ends after a while, so that nothing here hangs.
struct Context : grpc::ClientContext {
    explicit Context(int ms = 10000)
    {
        set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(ms));
    }
};

struct Peer {
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<pb::TestService::Stub> stub;
};

static Output output(int size, int response_size, int interval_us = 0)
{
    Output request;
    auto *parameters = request.add_response_parameters();
    parameters->set_size(response_size);
    parameters->set_interval_us(interval_us);
    request.mutable_payload()->set_body(std::string(size, '\0'));
    return request;
}

static pb::SimpleRequest large()
{
    pb::SimpleRequest request;
    request.set_response_size(314159);
    request.mutable_payload()->set_body(std::string(271828, '\0'));
    return request;
}

static void empty_unary(Peer &peer)
{
    Context context;
    pb::Empty answer;
    REQUIRE(peer.stub->EmptyCall(&context, pb::Empty(), &answer).ok());
}

static void large_unary(Peer &peer)
{
    Context context;
    pb::SimpleResponse answer;
    REQUIRE(peer.stub->UnaryCall(&context, large(), &answer).ok());
    REQUIRE(answer.payload().body() == std::string(314159, '\0'));
}

static void client_streaming(Peer &peer)
{
    Context context;
    pb::StreamingInputCallResponse answer;
    auto stream = peer.stub->StreamingInputCall(&context, &answer);
    for (int size : kRequestSizes) {
        pb::StreamingInputCallRequest request;
        request.mutable_payload()->set_body(std::string(size, '\0'));
        REQUIRE(stream->Write(request));
    }
    REQUIRE(stream->WritesDone() && stream->Finish().ok());
    REQUIRE(answer.aggregated_payload_size() == 74922);
}

static void server_streaming(Peer &peer)
{
    Context context;
    Output request;
    Answer answer;
    for (int size : kResponseSizes)
        request.add_response_parameters()->set_size(size);
    auto stream = peer.stub->StreamingOutputCall(&context, request);
    for (int size : kResponseSizes)
        REQUIRE(stream->Read(&answer) && answer.payload().body().size() == size_t(size));
    REQUIRE(!stream->Read(&answer) && stream->Finish().ok());
}

static void ping_pong(Peer &peer)
{
    Context context;
    Answer answer;
    auto stream = peer.stub->FullDuplexCall(&context);
    for (size_t i = 0; i < kRequestSizes.size(); i++) {
        REQUIRE(stream->Write(output(kRequestSizes[i], kResponseSizes[i])));
        REQUIRE(stream->Read(&answer));
        REQUIRE(answer.payload().body().size() == size_t(kResponseSizes[i]));
    }
    REQUIRE(stream->WritesDone() && !stream->Read(&answer) && stream->Finish().ok());
}

static void empty_stream(Peer &peer)
{
    Context context;
    Answer answer;
    auto stream = peer.stub->FullDuplexCall(&context);
    REQUIRE(stream->WritesDone() && !stream->Read(&answer) && stream->Finish().ok());
}

static void timeout_on_sleeping_server(Peer &peer)
{
    Context context(20);
    Answer answer;
    auto began = std::chrono::steady_clock::now();
    auto stream = peer.stub->FullDuplexCall(&context);
    stream->Write(output(27182, 31415, 5000000));
    REQUIRE(!stream->Read(&answer));
    REQUIRE(stream->Finish().error_code() == grpc::DEADLINE_EXCEEDED);
    REQUIRE(std::chrono::steady_clock::now() - began < std::chrono::seconds(4));
}

static void cancel_after_begin(Peer &peer)
{
    Context context;
    pb::StreamingInputCallResponse answer;
    auto stream = peer.stub->StreamingInputCall(&context, &answer);
    context.TryCancel();
    REQUIRE(stream->Finish().error_code() == grpc::CANCELLED);
}

static void cancel_after_first_response(Peer &peer)
{
    Context context;
    Answer answer;
    auto stream = peer.stub->FullDuplexCall(&context);
    REQUIRE(stream->Write(output(27182, 31415)));
    REQUIRE(stream->Read(&answer) && answer.payload().body().size() == 31415);
    context.TryCancel();
    REQUIRE(stream->Finish().error_code() == grpc::CANCELLED);
}

static void check_echo(const grpc::ClientContext &context)
{
    auto initial = context.GetServerInitialMetadata().find(kInitial);
    auto trailing = context.GetServerTrailingMetadata().find(kTrailing);
    REQUIRE(initial != context.GetServerInitialMetadata().end());
    REQUIRE(initial->second == "test_initial_metadata_value");
    REQUIRE(trailing != context.GetServerTrailingMetadata().end());
    REQUIRE(trailing->second == "\xab\xab\xab");
}

static void add_metadata(grpc::ClientContext &context)
{
    context.AddMetadata(kInitial, "test_initial_metadata_value");
    context.AddMetadata(kTrailing, "\xab\xab\xab");
}

static void custom_metadata(Peer &peer)
{
    Context unary, full;
    pb::SimpleResponse whole;
    Answer answer;
    add_metadata(unary);
    REQUIRE(peer.stub->UnaryCall(&unary, large(), &whole).ok());
    check_echo(unary);
    add_metadata(full);
    auto stream = peer.stub->FullDuplexCall(&full);
    REQUIRE(stream->Write(output(271828, 314159)) && stream->WritesDone());
    REQUIRE(stream->Read(&answer) && !stream->Read(&answer) && stream->Finish().ok());
    check_echo(full);
}

static void says_status(Peer &peer, const std::string &message)
{
    Context unary, full;
    pb::SimpleRequest request;
    pb::SimpleResponse whole;
    Output first;
    Answer answer;
    request.mutable_response_status()->set_code(grpc::UNKNOWN);
    request.mutable_response_status()->set_message(message);
    grpc::Status status = peer.stub->UnaryCall(&unary, request, &whole);
    REQUIRE(status.error_code() == grpc::UNKNOWN && status.error_message() == message);
    *first.mutable_response_status() = request.response_status();
    auto stream = peer.stub->FullDuplexCall(&full);
    REQUIRE(stream->Write(first));
    stream->WritesDone();
    REQUIRE(!stream->Read(&answer));
    status = stream->Finish();
    REQUIRE(status.error_code() == grpc::UNKNOWN && status.error_message() == message);
}

static void status_code_and_message(Peer &peer)
{
    says_status(peer, "test status message");
}

static void special_status_message(Peer &peer)
{
    says_status(peer, "\t\ntest with whitespace\r\nand Unicode BMP \xe2\x98\xba and non-BMP "
                      "\xf0\x9f\x98\x88\t\n");
}

static void unimplemented(Peer &peer, const std::string &path)
{
    Context context;
    grpc::GenericStub stub(peer.channel);
    grpc::CompletionQueue queue;
    grpc::ByteBuffer request, answer;
    grpc::Status status;
    void *tag;
    bool ok;
    auto call = stub.PrepareUnaryCall(&context, path, request, &queue);
    call->StartCall();
    call->Finish(&answer, &status, &tag);
    REQUIRE(queue.Next(&tag, &ok) && ok && status.error_code() == grpc::UNIMPLEMENTED);
    queue.Shutdown();
    while (queue.Next(&tag, &ok))
        continue;
}

static void unimplemented_method(Peer &peer)
{
    unimplemented(peer, "/grpc.testing.TestService/UnimplementedCall");
}

static void unimplemented_service(Peer &peer)
{
    unimplemented(peer, "/grpc.testing.UnimplementedService/UnimplementedCall");
}

#define CASE(name)                                                                                 \
    {                                                                                              \
#name, name                                                                                \
    }
static const std::map<std::string, std::function<void(Peer &)>> kCases = {
    CASE(empty_unary),
    CASE(large_unary),
    CASE(client_streaming),
    CASE(server_streaming),
    CASE(ping_pong),
    CASE(empty_stream),
    CASE(timeout_on_sleeping_server),
    CASE(cancel_after_begin),
    CASE(cancel_after_first_response),
    CASE(custom_metadata),
    CASE(status_code_and_message),
    CASE(special_status_message),
    CASE(unimplemented_method),
    CASE(unimplemented_service),
};

int main(int argc, char **argv)
{
    std::ifstream file(std::getenv("CA"));
    std::stringstream ca;
    ca << file.rdbuf();
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = ca.str();
    for (int i = 1; i < argc; i++) {
        Peer peer;
        peer.channel = grpc::CreateChannel(std::getenv("ENDPOINT"), grpc::SslCredentials(options));
        peer.stub = pb::TestService::NewStub(peer.channel);
        try {
            kCases.at(argv[i])(peer);
        } catch (const std::exception &error) {
            std::cerr << "FAILED  " << argv[i] << ": " << error.what() << std::endl;
            return 1;
        }
        std::cout << "ok      " << argv[i] << std::endl;
    }
    return 0;
}
