import type { CheckResult } from '../checks/operation-check.js'
import { oneOfEach, operationVerdicts } from '../checks/operation-verdict.js'
import type { NativeCandidate } from '../native/native.js'
import { multipliesBfloat16, vectorFlags } from '../native/processor.js'
import { AVOIDABLE_OPERATIONS } from '../tensorflow/kernels.js'
import { runSelfTestProcess, type SelfTestRun, type SelfTestSettings } from './process.js'
import { type NativeVerdict, readVerdict, writeVerdict } from './verdict-cache.js'

export type { NativeVerdict }

/** Options of {@link selfTest}. */
export interface SelfTestOptions extends Pick<SelfTestSettings, 'program' | 'patience'> {
  /** Runs the test even if a verdict is stored. */
  readonly again?: boolean
  /** Folder of stored verdicts. */
  readonly cache?: string
}

/** oneDNN's names, from the newest instructions to the oldest. */
const INSTRUCTION_SETS = [
  'AVX512_CORE_AMX',
  'AVX512_CORE_BF16',
  'AVX512_CORE_VNNI',
  'AVX512_CORE',
  'AVX2',
  'SSE41',
]
const FALLBACK_SETS = ['AVX512_CORE', 'AVX2', 'SSE41']

/**
 * Checks native TensorFlow against plain arithmetic on this processor, in a process of its own that may die. It runs once;
 * after that the stored verdict is read. Wrong operations are avoided; where that does not help, the instruction set is
 * lowered; where that does not help either, TensorFlow is refused.
 *
 * @returns undefined where TensorFlow does not load; loading it in this process then gives the reason
 */
export async function selfTest(
  candidate: NativeCandidate,
  { again = false, cache, ...settings }: SelfTestOptions = {},
): Promise<NativeVerdict | undefined> {
  const stored = again ? undefined : readVerdict(candidate, cache)
  if (stored) return stored
  const verdict = await judge(candidate, settings)
  if (verdict) writeVerdict(candidate, verdict, cache)
  return verdict
}

/** What a person should know of a verdict, in one line; undefined where everything is right. */
export function verdictText({
  isUsable,
  instructionSet,
  avoided,
  bfloat16,
  operations,
}: NativeVerdict): string | undefined {
  const wrong = [...new Set(operations.filter(one => one.wrong).map(({ operation }) => operation))].join(', ')
  if (!isUsable) return `TensorFlow must compute right on this processor, got wrong: ${wrong}`
  const parts = [
    instructionSet &&
      `oneDNN keeps to ${instructionSet}, since with newer instructions ${wrong} would be wrong`,
    avoided.length > 0 && `${avoided.join(', ')} computed in another way, since TensorFlow is wrong here`,
    !bfloat16 &&
      operations.some(one => one.wrong && one.inBfloat16) &&
      'bf16 is refused, since it is wrong here',
  ].filter(part => part)
  return parts.length > 0 ? parts.join('; ') : undefined
}

type Settings = Pick<SelfTestSettings, 'program' | 'patience'>

async function judge(candidate: NativeCandidate, settings: Settings): Promise<NativeVerdict | undefined> {
  const startedAt = performance.now()
  const allResults: CheckResult[] = []
  let version = ''
  const verdict = (
    rest: Pick<NativeVerdict, 'isUsable' | 'instructionSet' | 'avoided' | 'bfloat16'>,
  ): NativeVerdict => ({
    version,
    ...rest,
    operations: operationVerdicts(allResults),
    seconds: (performance.now() - startedAt) / 1000,
  })
  for (const instructionSet of instructionSets()) {
    const avoided = new Set<string>()
    let bfloat16 = instructionSet === undefined && multipliesBfloat16()
    for (;;) {
      const order = { candidate, avoided: [...avoided], bfloat16 }
      const run = await runSelfTestProcess(order, { ...settings, instructionSet })
      if (run.version === undefined) {
        if (!run.died?.includes('SIG')) return undefined
        allResults.push(whileLoading(run.died))
        break
      }
      version = run.version
      const faults = await faultsOf(run, candidate, { ...settings, instructionSet }, order.avoided)
      allResults.push(...run.results.filter(one => !one.wrong), ...faults)
      const names = faults.filter(one => !one.inBfloat16).map(({ operation }) => operation)
      if (faults.length === 0)
        return verdict({ isUsable: true, instructionSet, avoided: [...avoided], bfloat16 })
      if (names.some(name => avoided.has(name) || !AVOIDABLE_OPERATIONS.includes(name))) break
      // What is also wrong in float32 may be right in both when it is computed in another way.
      if (faults.some(one => one.inBfloat16 && !names.includes(one.operation))) {
        if (!bfloat16 && names.length === 0) break
        bfloat16 = false
      }
      for (const name of names) avoided.add(name)
    }
  }
  return verdict({ isUsable: false, avoided: [], bfloat16: false })
}

/**
 * The wrong results and, where the process died, the operation that caused it: not always the last, as damage may show
 * late.
 */
async function faultsOf(
  run: SelfTestRun,
  candidate: NativeCandidate,
  settings: SelfTestSettings,
  avoided: readonly string[],
): Promise<CheckResult[]> {
  const wrong = run.results.filter(one => one.wrong)
  if (run.died === undefined) return wrong
  const last = run.results.at(-1)
  if (!last) return [whileLoading(run.died)]
  const dies = async (only: readonly CheckResult[]): Promise<boolean> => {
    const rerun = await runSelfTestProcess({ candidate, avoided, bfloat16: true, only }, settings)
    return rerun.died !== undefined
  }
  if (await dies([last])) return [...wrong, { ...last, wrong: run.died }]
  let suspects = oneOfEach(run.results)
  while (suspects.length > 1) {
    const half = suspects.slice(0, suspects.length >> 1)
    suspects = (await dies(half)) ? half : suspects.slice(half.length)
  }
  return [...wrong, { ...(suspects[0] ?? last), wrong: run.died }]
}

/** A fault before the first operation. */
function whileLoading(wrong: string): CheckResult {
  return { operation: 'loading', sizes: '', inBfloat16: false, wrong }
}

/** The instruction sets to try in turn: no limit (undefined), then older and older ones. */
function instructionSets(): (string | undefined)[] {
  const limit = process.env.ONEDNN_MAX_CPU_ISA
  const flags = vectorFlags()
  const below = INSTRUCTION_SETS.slice(INSTRUCTION_SETS.indexOf(limit ?? '') + 1)
  const usable = FALLBACK_SETS.filter(name => below.includes(name) && isBelow(name, flags))
  return [undefined, ...usable]
}

/** Whether a processor with these flags has more than the instructions of this name. */
function isBelow(name: string, flags: readonly string[]): boolean {
  if (flags.length === 0) return process.arch === 'x64'
  if (name === 'AVX512_CORE') return flags.some(flag => /^(avx512_bf16|avx512_vnni|amx_tile)$/.test(flag))
  return flags.includes(name === 'AVX2' ? 'avx512f' : 'avx2')
}
