import { afterEach } from 'vitest'

const kept: { dispose(): unknown }[] = []
afterEach(() => {
  for (const thing of kept.splice(0)) thing.dispose()
})

/** Has a model or a tensor freed after the running test. */
export function keep<Thing extends { dispose(): unknown }>(thing: Thing): Thing {
  kept.push(thing)
  return thing
}
