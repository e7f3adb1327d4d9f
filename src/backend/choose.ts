import type { Backend, SkippedBackend, UseBackendOptions, UsedBackend } from './backend.js'
import { type BackendName, backends } from './backends.js'

export type { SkippedBackend, UseBackendOptions } from './backend.js'
export type { BackendName } from './backends.js'

/** The backend that now computes, and why this one. */
export interface BackendChoice<Name extends string = BackendName>
  extends Omit<UsedBackend<Name>, 'reason' | 'remark'> {
  /** One sentence. */
  readonly reason: string
  /** What was tried first and why it could not be used. */
  readonly skipped: readonly SkippedBackend<Name>[]
}

/**
 * Makes a backend the current one of tfjs: the one that is asked for, or for `auto` the first that loads of
 * tfjs-node-gpu (where TensorFlow sees a GPU), tfjs-node and wasm. The kernels that training needs, or is faster with,
 * are registered. Only what is used is loaded. The first use of a native TensorFlow on a processor checks it in another
 * process, which takes some seconds; what it gets wrong is avoided, and the reason says so.
 *
 * @throws RangeError for an unknown name; Error when the backend that is asked for cannot be used, saying why
 */
export async function useBackend(
  name: BackendName | 'auto' = 'auto',
  options: UseBackendOptions = {},
): Promise<BackendChoice> {
  return chooseBackend<BackendName>(name, options, backends)
}

/** As {@link useBackend}, with the backends of any table. */
export async function chooseBackend<Name extends string>(
  name: Name | 'auto',
  options: UseBackendOptions,
  table: readonly Backend<Name>[],
): Promise<BackendChoice<Name>> {
  const skipped: SkippedBackend<Name>[] = []
  const candidates = table.filter(({ names, isAutomatic }) =>
    name === 'auto' ? isAutomatic : names.includes(name),
  )
  if (name !== 'auto' && candidates.length === 0) throw unknownName(name, table)
  for (const backend of candidates) {
    const used = await backend.use(name, options, skipped)
    if (used) return choice(used, name === 'auto', skipped)
  }
  throw unavailable(name, skipped, candidates)
}

function choice<Name extends string>(
  { reason, remark, ...used }: UsedBackend<Name>,
  isAutomatic: boolean,
  skipped: readonly SkippedBackend<Name>[],
): BackendChoice<Name> {
  const why = isAutomatic ? reason : 'it was asked for'
  return { ...used, reason: remark ? `${why}; ${remark}` : why, skipped }
}

function unknownName<Name extends string>(name: string, table: readonly Backend<Name>[]): RangeError {
  const names = new Intl.ListFormat('en-GB', { type: 'disjunction' }).format([
    'auto',
    ...table.flatMap(backend => backend.names),
  ])
  return new RangeError(`useBackend: name must be ${names}, got ${name}`)
}

function unavailable<Name extends string>(
  name: Name | 'auto',
  skipped: readonly SkippedBackend<Name>[],
  [backend]: readonly Backend<Name>[],
): Error {
  const why = skipped.map(one => one.why).join('; ')
  const command = name === 'auto' ? undefined : backend?.providedBy?.(name)
  return new Error(
    `useBackend: backend ${name} must be available, got: ${why || 'none'}` +
      (command === undefined ? '' : ` (run \`${command}\` to provide it)`),
  )
}
