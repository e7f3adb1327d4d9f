import { type BackendName, useBackend } from '../src/backend/choose.js'

let chosen: Promise<BackendName> | undefined

/**
 * Makes the backend that PMOE_TEST_BACKEND names ('wasm' unless set, 'tensorflow' or 'cpu') the current one.
 *
 * @returns the name of the backend
 */
export function useTestBackend(): Promise<BackendName> {
  chosen ??= useBackend(testBackend()).then(choice => choice.name)
  return chosen
}

function testBackend(): 'wasm' | 'tensorflow' | 'cpu' {
  const name = process.env.PMOE_TEST_BACKEND ?? 'wasm'
  if (name === 'wasm' || name === 'tensorflow' || name === 'cpu') return name
  throw new RangeError(`PMOE_TEST_BACKEND must be wasm, tensorflow or cpu, got ${name}`)
}
