import { Command } from 'commander'
import { type BackendDiagnosis, type Diagnosis, diagnose } from '../../src/backend/doctor.js'

/** `pmoe doctor`: says what this machine computes with. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .description('say which backends this machine has, which one computes, and what to do next')
    .option('--json', 'print JSON')
    .action(async ({ json }: { json?: true }) => {
      const diagnosis = await diagnose()
      console.log(json ? JSON.stringify(diagnosis, undefined, 2) : diagnosisText(diagnosis))
    })
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
  const rows = [...machine, ...backends.map(backend => [backend.name, backendText(backend, chosen)])]
  const width = Math.max(...rows.map(([label = '']) => label.length)) + 2
  const lines = rows.map(([label = '', text = '']) => `${label.padEnd(width)}${text}`)
  const chosenLine = `\`auto\` computes on ${chosen}: ${reason}.`
  return [...lines, '', chosenLine, ...advice].join('\n')
}

function backendText(
  { name, available, version, threads, folder, why }: BackendDiagnosis,
  chosen: string,
): string {
  if (!available) return `not available: ${why}`
  const parts = [version, `${threads} ${threads === 1 ? 'thread' : 'threads'}`, folder].filter(part => part)
  return `${parts.join(', ')}${name === chosen ? '  <- chosen' : ''}`
}
