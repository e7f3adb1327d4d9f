import { type BackendName, useBackend } from '../../src/backend/choose.js'
import { type PatchMoEPlan, type PlannedConvolution, planPatchMoE } from '../../src/models/plan-patch-moe.js'
import { openModel } from '../run/opened-model.js'
import { shellCommand } from '../terminal/shell-command.js'
import { textTable } from '../terminal/text-table.js'
import { percent } from '../terminal/training-log.js'

/** The flags of `pmoe plan`. */
export interface PlanRequest {
  readonly experts: number
  readonly patchesPerExpert?: number
  readonly patchSize: number | [number, number]
  readonly backend?: BackendName | 'auto'
  readonly json?: boolean
}

/** Lists the convolutions of a model and writes what a mixture in the place of each would cost. */
export async function runPlan(path: string, request: PlanRequest): Promise<void> {
  await useBackend(request.backend ?? 'auto')
  const { model, directory } = await openModel(path)
  const { experts: numExperts, patchSize, patchesPerExpert } = request
  const plan = planPatchMoE(model, {
    numExperts,
    patchSize,
    ...(patchesPerExpert !== undefined && { patchesPerExpert }),
  })
  if (request.json) {
    process.stdout.write(`${JSON.stringify({ model: directory, ...plan })}\n`)
    return
  }
  process.stdout.write(`${planText(directory, plan, request.experts)}\n`)
}

/** A plan as tables and a sentence for a person. */
export function planText(directory: string, plan: PatchMoEPlan, experts: number): string {
  const { convolutions, chosen, parameters, multiplyAdds } = plan
  const fitting = convolutions.filter(({ mixture }) => mixture)
  const others = convolutions.filter(({ mixture }) => !mixture)
  const parts = [
    `${directory}: ${count(parameters)} parameters, ${count(multiplyAdds)} multiply-adds a sample`,
    fitting.length > 0 &&
      `${experts} experts can take the place of:\n\n${textTable(COLUMNS, fitting.map(row))}`,
    others.length > 0 &&
      `They cannot take the place of:\n${[...byReason(others)].map(reasonLine).join('\n')}`,
    chosen === undefined ? 'No convolution fits.' : savings(directory, plan, chosen),
  ]
  return parts.filter(part => part !== false).join('\n\n')
}

const COLUMNS = [
  'convolution',
  'map',
  'parameters',
  'with experts',
  'multiply-adds',
  'with experts',
  'patches kept',
]

function row({ path, map, parameters, multiplyAdds, mixture }: PlannedConvolution): string[] {
  return [
    path,
    map.join('x'),
    count(parameters),
    count(mixture?.parameters ?? 0),
    count(multiplyAdds),
    count(mixture?.multiplyAdds ?? 0),
    `${mixture?.patchesPerExpert} of ${mixture?.patches}`,
  ]
}

function byReason(convolutions: readonly PlannedConvolution[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const { reason = '', path } of convolutions) groups.set(reason, [...(groups.get(reason) ?? []), path])
  return groups
}

function reasonLine([reason, paths]: [string, readonly string[]]): string {
  return `  ${paths.join(', ')}: ${reason}`
}

/** What the convolution that is taken unless told otherwise saves of the whole, and how to go on. */
function savings(directory: string, plan: PatchMoEPlan, chosen: string): string {
  const found = plan.convolutions.find(({ path }) => path === chosen) as Required<PlannedConvolution>
  const { numExperts, patchSize, patchesPerExpert, multiplyAdds } = found.mixture
  const left = (plan.multiplyAdds - found.multiplyAdds + multiplyAdds) / plan.multiplyAdds
  const [height, width] = patchSize
  const size = height === width ? String(height) : `${height}x${width}`
  const mixture = ['--experts', numExperts, '--patch-size', size, '--patches-per-expert', patchesPerExpert]
  const command = ['pmoe', 'train', '--init', directory, '--dataset', 'NAME', ...mixture.map(String)]
  return `In the place of ${chosen} they leave ${percent(left)} of the model's multiply-adds. To train that:\n  ${shellCommand(command)}`
}

function count(value: number): string {
  return value.toLocaleString('en-US')
}
