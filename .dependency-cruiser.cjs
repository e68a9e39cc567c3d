/** The fences of the building: see docs/architecture.md for the rooms and why they are strangers. */
module.exports = {
  forbidden: [
    {
      name: 'rooms-are-strangers',
      comment: 'A room imports contract/ and base/ and no other room; bid-path.ts and server.ts connect them.',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/[^/]+/', pathNot: ['^src/$1/', '^src/(contract|base)/'] },
    },
    {
      name: 'rooms-do-not-know-the-corridor',
      severity: 'error',
      from: { path: '^src/[^/]+/' },
      to: { path: '^src/[^/]+\\.ts$' },
    },
    {
      name: 'contract-knows-nobody',
      severity: 'error',
      from: { path: '^src/contract/' },
      to: { path: '^src/', pathNot: '^src/contract/' },
    },
    {
      name: 'base-knows-nobody',
      severity: 'error',
      from: { path: '^src/base/' },
      to: { path: '^src/', pathNot: '^src/base/' },
    },
    {
      name: 'through-the-door',
      comment: 'From outside, a room is its index.ts.',
      severity: 'error',
      from: { path: '^src/([^/]+)/' },
      to: { path: '^src/[^/]+/.+', pathNot: ['^src/$1/', '/index\\.ts$'] },
    },
    {
      name: 'through-the-door-from-elsewhere',
      severity: 'error',
      from: { pathNot: ['^src/[^/]+/', '^test/'] },
      to: { path: '^src/[^/]+/.+', pathNot: '/index\\.ts$' },
    },
    {
      name: 'src-stands-alone',
      comment: 'The server does not know the simulator, the benches or the tests.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(world|bench|loadtest|test)/' },
    },
    {
      name: 'pure-rooms',
      comment: 'No sockets, files, threads or timers where time and chance must be handed in.',
      severity: 'error',
      from: { path: '^src/(auction|bidding|calibration|features|admission|contract|base)/' },
      to: { dependencyTypes: ['core'] },
    },
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true } },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    exclude: { path: '^dist/' },
  },
};
