"""What is read from the lake: experiments' results, traces, SQL, and the API over them."""
