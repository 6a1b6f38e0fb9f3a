//! What holds of every plan, over generated wishes and troubles.
