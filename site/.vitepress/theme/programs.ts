import { withBase } from 'vitepress'

/** The address of a file of the programs, which tools/site/programs.ts bundles. */
export function addressOf(path: string): string {
  return new URL(withBase(`/programs/${path}`), location.href).href
}

/** Loads a program by the name of its script. */
export function loaded<Module>(name: string): Promise<Module> {
  return import(/* @vite-ignore */ addressOf(`${name}.js`))
}
