import { writeSync } from 'node:fs'

/*
 * Tells what a process tells that checks a TensorFlow, without one. PLANTED_FAULTS names faults, `operation:how` with
 * commas between: wrong; bf16 (wrong there alone); crash; memory (the process dies two operations later, or at the end);
 * newest (wrong unless instructions are limited to AVX2); loading:crash.
 */

const { avoided, bfloat16, only } = JSON.parse(process.argv[2])
const faults = new Map((process.env.PLANTED_FAULTS ?? '').split(',').map(one => one.split(':')))
const tell = report => writeSync(1, `${JSON.stringify(report)}\n`)
const die = signal => process.kill(process.pid, signal)

/** The fault of an operation that is not computed in another way. */
const faultOf = operation => (avoided.includes(operation) ? undefined : faults.get(operation))

const isWrong = (how, inBfloat16) =>
  how === 'wrong' ||
  (how === 'bf16' && inBfloat16) ||
  (how === 'newest' && process.env.ONEDNN_MAX_CPU_ISA !== 'AVX2')

const checks = [
  'BatchMatMul',
  'MaxPool',
  'channelSums',
  'reluGradient',
  'TopK',
  'Conv2D',
  'Conv2DBackpropInput',
]
  .flatMap(operation => [false, true].map(inBfloat16 => ({ operation, inBfloat16 })))
  .filter(({ operation, inBfloat16 }) =>
    only
      ? only.some(one => one.operation === operation && one.inBfloat16 === inBfloat16)
      : bfloat16 || !inBfloat16,
  )

if (faults.has('loading')) die('SIGILL')
tell({ kind: 'loaded', version: '2.21.0' })
let untilDeath = Number.POSITIVE_INFINITY
for (const { operation, inBfloat16 } of checks) {
  if (untilDeath-- === 0) die('SIGABRT')
  const how = faultOf(operation)
  tell({ kind: 'start', operation, sizes: 'one size', inBfloat16 })
  if (how === 'memory') untilDeath = Math.min(untilDeath, 2)
  if (how === 'crash') die('SIGSEGV')
  if (isWrong(how, inBfloat16)) tell({ kind: 'wrong', wrong: '2 in the place of 1' })
}
tell({ kind: 'churn' })
if (untilDeath < Number.POSITIVE_INFINITY) die('SIGABRT')
tell({ kind: 'done' })
