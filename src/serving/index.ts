/**
 * serving/: the KServe v2 protocol with Triton's extensions, over HTTP and gRPC, without a socket.
 *
 * Takes: a `ModelServer`, and requests as ingress/ received them.
 * Gives: replies with the statuses and messages that Triton's clients match on; a gRPC service to be hosted.
 * Owns: the requests that are with the models, under a bound.
 * Never: opens a socket; looks into a model; copies a raw tensor.
 * Fails: what a client did wrong is its status and sentence; a bug is logged and answered INTERNAL.
 */
export { makeV2Grpc, type V2GrpcOptions } from './grpc.js';
export { makeV2Http, V2_HTTP_HEADERS } from './http.js';
