import * as z from 'zod'

/** What computed a training run: sums are rounded in other places by another backend, and by another number of threads. */
export interface Computation {
  /** Name of the backend in tfjs. */
  readonly backend: string
  /** Threads of the backend, where they are known. */
  readonly threads?: number
}

/** A {@link Computation} as checkpoints hold it. */
export const computationSchema = z.strictObject({
  backend: z.string(),
  threads: z.int().positive().exactOptional(),
})

/**
 * What a person should know of a run that goes on with another backend or number of threads, in one line; undefined where both
 * are as before, or not known.
 *
 * @param was of the state that it goes on from; undefined in those of earlier versions
 */
export function computationRemark(was: Computation | undefined, is: Computation): string | undefined {
  if (!was) return undefined
  const isSameNumber = was.threads === undefined || is.threads === undefined || was.threads === is.threads
  if (was.backend === is.backend && isSameNumber) return undefined
  return `This run was computed by ${words(was)} and goes on with ${words(is)}: its numbers can differ from those of a run that was never stopped.`
}

function words({ backend, threads }: Computation): string {
  if (threads === undefined) return backend
  return `${backend} with ${threads} ${threads === 1 ? 'thread' : 'threads'}`
}
