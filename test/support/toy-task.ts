/** What the control thread would hand to workers that speak the toy encapsulation. */
export interface ToyTask {
  kind: 'toy';
  port: number;
  /** what each peer of the table writes to us */
  indexes: readonly number[];
  isSealed: boolean;
}
