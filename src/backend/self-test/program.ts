import { runSelfTest } from './child.js'

// The process that `selfTest` starts.
await runSelfTest(JSON.parse(process.argv[2] ?? ''))
