import { Command } from 'commander'
import { type BackendDiagnosis, type Diagnosis, diagnose, verifyBackends } from '../../src/backend/doctor.js'
import type { Verification, VerifiedOperation } from '../../src/backend/verify.js'
import type { Adapter } from '../../src/backend/webgpu/adapter.js'
import { textTable } from '../terminal/text-table.js'

/** `pmoe doctor`: says what this machine computes with. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say which backends this machine has, which one computes, and what to do next')
    .option(
      '--verify',
      'check every operation that training uses against plain arithmetic, again, and print what is right; some seconds, minutes for a GPU in software',
    )
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
A native TensorFlow is checked when it is first used on a processor, once;
--verify does it again, and checks wasm too. What TensorFlow gets wrong here is
computed in another way, else with fewer of the processor's instructions, else
TensorFlow is not used. The exit code of --verify is 1 where a backend is wrong
in spite of that.

Example:
  $ pmoe doctor --verify`,
    )
    .action(async ({ verify, json }: { verify?: true; json?: true }) => {
      if (verify) return printVerification(json === true)
      const diagnosis = await diagnose()
      console.log(json ? JSON.stringify(diagnosis, undefined, 2) : diagnosisText(diagnosis))
    })
}

async function printVerification(json: boolean): Promise<void> {
  if (!json)
    console.error('Checking the operations of every backend: some seconds, minutes for a GPU in software …')
  const verifications = await verifyBackends()
  console.log(
    json ? JSON.stringify(verifications, undefined, 2) : verifications.map(verificationText).join('\n\n'),
  )
  if (verifications.some(({ isUsable }) => !isUsable)) process.exitCode = 1
}

/** A verification as lines for a person: a table by operation, what was wrong, and the verdict. */
export function verificationText(verification: Verification): string {
  const { backend, version, folder, operations, verdict, seconds } = verification
  const names = [...new Set(operations.map(one => one.operation))]
  const rows = names.map(name => operationRow(operations.filter(one => one.operation === name)))
  const wrong = operations
    .filter(one => one.wrong !== undefined)
    .map(one => `${one.operation} in ${one.precision}, ${one.wrong}`)
  return [
    [backend, version, folder].filter(Boolean).join(', '),
    textTable(['operation', 'sizes', 'in bf16', 'result'], rows),
    ...wrong,
    `Verdict, after ${seconds.toFixed(1)} s: ${verdict}.`,
  ].join('\n')
}

/** The name of an operation, how many sizes were checked in each precision, and the result. */
function operationRow(results: readonly VerifiedOperation[]): string[] {
  const [float32, bf16] = (['float32', 'bf16'] as const).map(name =>
    results.find(one => one.precision === name),
  )
  const bf16State = bf16 && bf16.state !== float32?.state ? `bf16 ${bf16.state}` : ''
  return [
    results[0]?.operation ?? '',
    String(float32?.checked ?? ''),
    String(bf16?.checked ?? ''),
    [float32?.state, bf16State].filter(Boolean).join(', '),
  ]
}

/** A diagnosis as lines for a person. */
export function diagnosisText(diagnosis: Diagnosis): string {
  const { node, platform, cpu, cores, simd, memory, nvidia, tfjs, backends, chosen, reason, advice } =
    diagnosis
  const machine = [
    ['node', `${node} on ${platform}, tfjs ${tfjs}`],
    [
      'cpu',
      `${cpu}, ${cores} ${cores === 1 ? 'core' : 'cores'}${simd.length > 0 ? `, ${simd.join(' ')}` : ''}`,
    ],
    ['memory', `${memory.total} GB, ${memory.free} GB free`],
    ...(nvidia ? [['gpu', nvidia]] : []),
  ]
  const rows = [...machine, ...backends.flatMap(backend => backendRows(backend, chosen))]
  const width = Math.max(...rows.map(([label = '']) => label.length)) + 2
  const lines = rows.map(([label = '', text = '']) => `${label.padEnd(width)}${text}`)
  const chosenLine = `\`auto\` computes on ${chosen}: ${reason}.`
  return [...lines, '', chosenLine, ...advice].join('\n')
}

/** What computes, and below it what its device can take. */
function backendRows(backend: BackendDiagnosis, chosen: string): [string, string][] {
  const { name, adapter } = backend
  const rows: [string, string][] = [[name, backendText(backend, chosen)]]
  return adapter ? [...rows, ['', adapterLimits(adapter)]] : rows
}

function adapterLimits({ isSoftware, float16, limits }: Adapter): string {
  const { maxBufferSize = 0, maxStorageBufferBindingSize = 0, maxComputeWorkgroupStorageSize = 0 } = limits
  const sides = ['X', 'Y', 'Z'].map(side => limits[`maxComputeWorkgroupSize${side}`])
  return [
    isSoftware ? 'computed by the processor' : 'a GPU',
    `buffers of ${mebibytes(maxBufferSize)}, ${mebibytes(maxStorageBufferBindingSize)} of one seen by a kernel`,
    `workgroups of ${sides.join('x')}, ${limits.maxComputeInvocationsPerWorkgroup} in all, with ${maxComputeWorkgroupStorageSize / 1024} KiB`,
    float16 ? 'has float16' : 'has no float16',
  ].join(', ')
}

function mebibytes(bytes: number): string {
  return `${Math.floor(bytes / 2 ** 20)} MiB`
}

function backendText(
  { name, available, version, threads, device, folder, why }: BackendDiagnosis,
  chosen: string,
): string {
  if (!available) return `not available: ${why}`
  const computing = device ?? `${threads} ${threads === 1 ? 'thread' : 'threads'}`
  const parts = [version, computing, folder].filter(part => part)
  return `${parts.join(', ')}${name === chosen ? '  <- chosen' : ''}`
}
