/** Object.prototype without `__proto__`: a key of that name in foreign JSON then never reaches a prototype. */
export function closePrototypes(): void {
  Reflect.deleteProperty(Object.prototype, '__proto__');
}
