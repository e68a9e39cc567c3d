import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  Metadata,
  type ServiceDefinition,
  type ServiceError,
  status as STATUS,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { IngressLog } from './on-bid.js';

/** Counts since the start, and what is open now. */
export interface OpenCalls {
  callsOpen: number;
  calls: number;
  refusedOpen: number;
  handlerErrors: number;
}

type Unary = handleUnaryCall<object, object>;
type Bidi = handleBidiStreamingCall<object, object>;

/** The service's handlers behind a bound on open calls; one that throws answers INTERNAL and is logged. */
export function bounded(
  service: { readonly definition: ServiceDefinition; readonly implementation: UntypedServiceImplementation },
  open: OpenCalls,
  callsOpenMax: number,
  log: IngressLog,
): UntypedServiceImplementation {
  const bug = (error: unknown): ServiceError => {
    open.handlerErrors += 1;
    log.error({ err: error }, 'bug in a gRPC service');
    return serviceError(STATUS.INTERNAL, 'internal error');
  };
  /** Null = refused. Otherwise to be called when the call is over; only the first time counts. */
  const begin = (): (() => void) | null => {
    open.calls += 1;
    if (open.callsOpen >= callsOpenMax) {
      open.refusedOpen += 1;
      return null;
    }
    open.callsOpen += 1;
    let isOpen = true;
    return () => {
      if (isOpen) open.callsOpen -= 1;
      isOpen = false;
    };
  };
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(service.definition)) {
    const handler = service.implementation[name];
    if (method.requestStream !== method.responseStream) throw new Error(`${name}: one-sided streams are not hosted`);
    implementation[name] = method.requestStream
      ? boundedBidi(handler as Bidi, begin, bug)
      : boundedUnary(handler as Unary, begin, bug);
  }
  return implementation;
}

type Begin = () => (() => void) | null;
type Bug = (error: unknown) => ServiceError;

function boundedUnary(handler: Unary, begin: Begin, bug: Bug): Unary {
  return (call, callback) => {
    const end = begin();
    if (end === null) {
      callback(tooMany());
      return;
    }
    call.on('cancelled', end);
    try {
      handler(call, (...answer) => {
        end();
        callback(...answer);
      });
    } catch (error) {
      end();
      callback(bug(error));
    }
  };
}

function boundedBidi(handler: Bidi, begin: Begin, bug: Bug): Bidi {
  return (call) => {
    const end = begin();
    if (end === null) {
      call.emit('error', tooMany());
      return;
    }
    call.on('cancelled', end);
    call.on('finish', end);
    call.on('error', end);
    try {
      handler(call);
    } catch (error) {
      call.emit('error', bug(error));
    }
  };
}

const tooMany = (): ServiceError => serviceError(STATUS.RESOURCE_EXHAUSTED, 'too many calls are open');

function serviceError(code: STATUS, details: string): ServiceError {
  return Object.assign(new Error(details), { code, details, metadata: new Metadata() });
}
