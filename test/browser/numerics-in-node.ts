// Prints, as JSON, what a backend of Node computes: numerics-in-node.ts BACKEND
import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { computedNumbers } from './numerics-job.js'

const { reason } = await useBackend(process.argv[2] as BackendName)
console.log(JSON.stringify({ reason, numbers: await computedNumbers() }))
