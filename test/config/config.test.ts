import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { limitSums, loadConfig } from '../../src/config/index.js';

function load(yaml: string, environment = {}) {
  const file = join(mkdtempSync(join(tmpdir(), 'vickrey-config-')), 'config.yaml');
  writeFileSync(file, yaml);
  return loadConfig(file, environment);
}

describe('configuration', () => {
  it('is complete without a file, frozen, and keeps operations on loopback', () => {
    const config = loadConfig('');
    expect(config.http.port).toBe(8080);
    expect(config.operations.host).toBe('127.0.0.1');
    expect(Object.isFrozen(config.http)).toBe(true);
    expect(config.serving).toMatchObject({ host: '127.0.0.1', http_port: 8000, control_mode: 'none' });
    expect(limitSums(config)).toHaveLength(5);
  });

  it('takes what a file says and keeps the rest', () => {
    const config = load('http: { port: 0 }\nbidding: { mode: second_price }\n');
    expect(config.http).toMatchObject({ port: 0, backend: 'auto' });
    expect(config.bidding.mode).toBe('second_price');
  });

  it('lets every v2 port be any free one', () => {
    expect(load('serving: { http_port: 0, grpc_port: 0, metrics_port: 0 }').serving.http_port).toBe(0);
  });

  it('takes the admin token from the environment', () => {
    expect(load('', { VICKREY_ADMIN_TOKEN: 'a-token-of-16-chars' }).operations.admin_token).toBe('a-token-of-16-chars');
  });

  it.each([
    ['an unknown option', 'htpp: {}', /htpp/],
    ['a value out of bounds', 'http: { port: 70000 }', /http\.port/],
    ['shaded, until it exists', 'bidding: { mode: shaded }', /bidding\.mode.*not available yet/],
    ['limits that contradict each other', 'time: { tmax_ms_default: 3000 }', /tmax_ms_default: is above tmax_ms_max/],
    ['one model in two roles', 'models: { pctr: a, pcvr: a }', /models\.pcvr: is the same model/],
    ['a reserve above the ceiling', 'bidding: { reserve_cpm_micros: 9000, cpm_micros_max: 10 }', /reserve_cpm_micros/],
    [
      'start-up models that the control mode ignores',
      'serving: { load_models: [a] }',
      /load_models: is for control_mode/,
    ],
    ['one v2 port in two roles', 'serving: { http_port: 8001 }', /serving: uses one port twice/],
    ['broken YAML', 'http: [', /config\.yaml/],
  ])('refuses %s', (_name, yaml, message) => expect(() => load(yaml)).toThrow(message));

  it('refuses a short token', () => {
    expect(() => load('', { VICKREY_ADMIN_TOKEN: 'short' })).toThrow(/16 characters/);
  });
});
