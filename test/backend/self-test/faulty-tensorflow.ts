import { operationTable } from '../../../src/backend/checks/operation-table.js'
import { runSelfTest } from '../../../src/backend/self-test/child.js'
import { nativeBackend } from '../../../src/backend/tensorflow/operations.js'

/*
 * A process that checks a TensorFlow with faults, as the self-test starts it: PLANTED_FAULTS names them, `operation:how` with
 * commas between.
 */

type Execute = ReturnType<typeof nativeBackend>['binding']['executeOp']

const faults = new Map(
  (process.env.PLANTED_FAULTS ?? '').split(',').map(one => one.split(':') as [string, string]),
)
const BFLOAT16 = 14

/** Operations of TensorFlow until the process dies of what one of them did to its memory. */
let untilDeath = Number.POSITIVE_INFINITY

function plant(): void {
  const { binding } = nativeBackend()
  const execute: Execute = binding.executeOp.bind(binding)
  const planted: Execute = (name, attributes, ids, outputs) => {
    if (untilDeath-- === 0) process.abort()
    const how = faults.get(name)
    const type = attributes.find(one => one.name === 'T')
    const isWrong =
      how === 'wrong' ||
      (how === 'bf16' && type?.value === BFLOAT16) ||
      (how === 'newest' && process.env.ONEDNN_MAX_CPU_ISA !== 'AVX2')
    if (how === 'memory') untilDeath = Math.min(untilDeath, 30)
    if (how === 'crash') process.abort()
    const results = execute(name, attributes, ids, outputs)
    const [first, ...rest] = results
    if (!isWrong || !first || !type) return results
    const doubled = execute('AddV2', [type], [first.id, first.id], 1)
    binding.deleteTensor(first.id)
    return [...doubled, ...rest]
  }
  Object.assign(nativeBackend(), { binding: Object.create(binding, { executeOp: { value: planted } }) })
}

/** One or two sizes of an operation, of convolutions small ones. */
function* fewChecks() {
  const numbers = new Map<string, number>()
  for (const check of operationTable()) {
    const isConvolution = check.sizes.includes(' kernel,')
    if (isConvolution && !/^4x4x[13] map, 3x3 kernel, .* stride 1, same/.test(check.sizes)) continue
    const key = `${check.operation} ${check.inBfloat16}`
    const number = (numbers.get(key) ?? 0) + 1
    numbers.set(key, number)
    if (number <= 2) yield check
  }
}

await runSelfTest(JSON.parse(process.argv[2] ?? ''), { whenLoaded: plant, table: fewChecks() })
