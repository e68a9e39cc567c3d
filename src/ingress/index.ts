/**
 * ingress/: owns the sockets. HTTP on uWebSockets.js (node:http where the addon cannot load), gRPC, operations.
 *
 * Takes: requests of exchanges and operators; a handler for each (`OnBid`, `OperationsRoutes`).
 * Gives: each body to its handler, and the handler's outcome back as a reply.
 * Owns: sockets, bodies while they arrive, limits on all of them. HTTP and gRPC statuses exist only here.
 * Never: looks into a body; answers twice; keeps a body after the handler returned.
 * Fails: bad input is answered 400 or 204 (gRPC: INVALID_ARGUMENT) and counted; a handler that throws is logged and
 * answered as a no-bid; a port that cannot be had is an OperatingError at start.
 */
export { type GrpcServer, startGrpc } from './grpc.js';
export type { GrpcServerOptions, GrpcStats } from './grpc-front.js';
export {
  type HostedGrpcOptions,
  type HostedGrpcServer,
  type HostedGrpcService,
  type HostedGrpcStats,
  hostGrpc,
} from './grpc-server.js';
export { startHttp } from './http.js';
export type { HttpServer, HttpServerOptions, HttpStats } from './http-front.js';
export type { BidReply, IngressLog, OnBid } from './on-bid.js';
export {
  type AdminHandler,
  type OperationsRoutes,
  type OperationsServer,
  type OperationsServerOptions,
  startOperations,
} from './operations.js';
export { startPlainHttp } from './plain-http.js';
export type { PlainHttpOptions, PlainHttpServer, PlainHttpStats } from './plain-http-front.js';
